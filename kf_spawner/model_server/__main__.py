"""`python -m kf_spawner.model_server`: the process from start to graceful stop."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .flags import parse_arguments
from .import_tensorflow import tensorflow
from .manager import Model, ModelManager, ModelUnavailableError
from .rest import RestApi
from .second_process import SecondProcess

if TYPE_CHECKING:
    from .grpc_api import GrpcApi

log = logging.getLogger("kf_spawner.model_server")


def _load(path: Path, second: SecondProcess, options: argparse.Namespace) -> Model:
    from .savedmodel import SavedModel  # imports TensorFlow, which takes seconds: not for --help

    return SavedModel(path, second, timeout=options.request_timeout, tags=options.saved_model_tags)


class Stop:
    """What signals ask for: to stop, and then not to wait any longer for requests that come."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.asked_again = asyncio.Event()

    def ask(self) -> None:
        (self.asked_again if self.asked.is_set() else self.asked).set()


async def serve(options: argparse.Namespace) -> int:
    """Listens, then loads; returns the exit code: 0 when told to stop, 1 when there is nothing to serve."""
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.ask)
    second = SecondProcess()
    manager = ModelManager(
        name=options.model_name,
        base=options.model_base_path,
        loader=lambda path: _load(path, second, options),
        poll_interval=options.poll_interval,
        wait_for_model=options.wait_for_model,
    )
    api = RestApi(
        manager,
        max_body=options.max_body_mib * 2**20,
        body_timeout=options.body_timeout,
        timeout=options.request_timeout,
        threads=options.threads,
        queue=options.queue,
    )
    runner = api.runner(shutdown_timeout=options.answer_grace)
    await runner.setup()
    try:
        await web.TCPSite(runner, options.rest_api_host, options.rest_api_port).start()
    except OSError as error:
        log.error("cannot listen on %s:%d: %s", options.rest_api_host, options.rest_api_port, error)
        await runner.cleanup()
        return 1
    host, port = runner.addresses[0][:2]
    log.info("listening on http://%s:%d/v1/models/%s", host, port, manager.name)
    grpc_apis: list[GrpcApi] = []
    serving = _load_and_serve(manager, api, options, grpc_apis)
    code = await _until_stopped(serving, manager, stop, options.accept_grace)
    await asyncio.gather(runner.cleanup(), *(each.stop(options.answer_grace) for each in grpc_apis))
    await manager.close()
    api.close()
    second.close()
    return code


async def _load_and_serve(
    manager: ModelManager, api: RestApi, options: argparse.Namespace, started: list["GrpcApi"]
) -> None:
    """Adds the gRPC API to `started` if one is wanted, then loads models until cancelled."""
    if options.port:
        grpc_api = (await asyncio.to_thread(_grpc_api))(
            manager,
            max_body=options.max_body_mib * 2**20,
            threads=api.threads,
            metrics=api.metrics,
            most=options.threads + options.queue,
        )
        await grpc_api.start(options.rest_api_host, options.port)
        started.append(grpc_api)
    await manager.run()


def _grpc_api() -> type["GrpcApi"]:
    tensorflow()
    from .grpc_api import GrpcApi  # whose stubs import TensorFlow

    return GrpcApi


async def _until_stopped(
    serving: Coroutine[Any, Any, None], manager: ModelManager, stop: Stop, accept_grace: float
) -> int:
    """`accept_grace`: seconds in which requests are still served after the first signal, before a second one."""
    watching = asyncio.create_task(serving)
    await _first(watching, stop.asked.wait())
    if not watching.done():
        log.info("stopping")
        manager.is_ending = True
        await _first(watching, stop.asked_again.wait(), timeout=accept_grace)
    if not watching.done():
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        return 0
    try:
        watching.result()
    except ModelUnavailableError as error:
        log.error("there is nothing to serve: %s", error)
    except OSError as error:
        log.error("cannot serve gRPC: %s", error)
    return 1


async def _first(task: asyncio.Task[None], event: Coroutine[Any, Any, Any], timeout: float | None = None) -> None:
    """Returns when one of the two has ended, or after `timeout` seconds. The event is then not waited for."""
    waiting = asyncio.create_task(event)
    await asyncio.wait([task, waiting], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


def main() -> None:
    options = parse_arguments(sys.argv[1:])
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on CPU features are not warnings
    sys.exit(asyncio.run(serve(options)))


if __name__ == "__main__":
    main()
