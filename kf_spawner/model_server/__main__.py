"""`python -m kf_spawner.model_server`: the command line, and the process from start to graceful stop."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from .manager import Model, ModelManager, ModelUnavailableError
from .rest import RestApi
from .second_process import SecondProcess

log = logging.getLogger("kf_spawner.model_server")

STOP_TIMEOUT = 20.0
"""Seconds that running requests get after SIGTERM."""


LEAST_THREADS = 4


def arguments() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="kf-model-server",
        description="Serves one SavedModel over TF Serving's REST API.",
        allow_abbrev=False,
    )
    threads = max(LEAST_THREADS, os.cpu_count() or 1)
    add = parser.add_argument
    add("--model-name", required=True, help="Name in the API's paths: /v1/models/NAME. Required.")
    add("--model-base-path", required=True, type=Path, help="Folder of versions, or of one SavedModel. Required.")
    add(
        "--rest-api-host",
        default="127.0.0.1",
        help="Address to listen on. The API does not ask who calls: keep it behind the door. Default: %(default)s.",
    )
    add(
        "--rest-api-port",
        default=8501,
        type=_whole(0, 65535),
        help="TCP port; 0 takes a free one and logs it. Default: %(default)s.",
    )
    add(
        "--max-body-mib",
        default=64,
        type=_whole(1, 1024),
        help="Largest body of a request, in MiB. Default: %(default)s.",
    )
    add(
        "--request-timeout",
        default=300,
        type=_whole(1, 3600),
        help="Seconds that a request's body may take to arrive, and its prediction to run. Default: %(default)s.",
    )
    add(
        "--poll-interval",
        default=1,
        type=_whole(1, 3600),
        help="Seconds between looks for new versions. Default: %(default)s.",
    )
    add(
        "--wait-for-model",
        default=60,
        type=_whole(0, 86400),
        help="Seconds to wait for a first version in an empty folder. Default: %(default)s.",
    )
    add(
        "--threads",
        default=threads,
        type=_whole(1, 256),
        help=f"Predictions that run at the same time. Default: the machine's CPUs, at least {LEAST_THREADS}.",
    )
    return parser


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """The options; ends the process with a message and code 2 if they are wrong."""
    parser = arguments()
    options = parser.parse_args(argv)
    if not options.model_name or set("/:?#%") & set(options.model_name):
        parser.error(f"argument --model-name: {options.model_name!r} cannot stand in a path")
    return options


def _whole(low: int, high: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value} is out of range: from {low} to {high}")
        return value

    convert.__name__ = "whole number"
    return convert


def _load(path: Path, second: SecondProcess, timeout: float) -> Model:
    from .savedmodel import SavedModel  # imports TensorFlow, which takes seconds: not for --help

    return SavedModel(path, second, timeout=timeout)


async def serve(options: argparse.Namespace) -> int:
    """Listens, then loads; returns the exit code: 0 when told to stop, 1 when there is nothing to serve."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    second = SecondProcess()
    manager = ModelManager(
        name=options.model_name,
        base=options.model_base_path,
        loader=lambda path: _load(path, second, options.request_timeout),
        poll_interval=options.poll_interval,
        wait_for_model=options.wait_for_model,
    )
    api = RestApi(
        manager,
        max_body=options.max_body_mib * 2**20,
        timeout=options.request_timeout,
        threads=options.threads,
    )
    runner = api.runner(shutdown_timeout=STOP_TIMEOUT)
    await runner.setup()
    try:
        await web.TCPSite(runner, options.rest_api_host, options.rest_api_port).start()
    except OSError as error:
        log.error("cannot listen on %s:%d: %s", options.rest_api_host, options.rest_api_port, error)
        await runner.cleanup()
        return 1
    host, port = runner.addresses[0][:2]
    log.info("listening on http://%s:%d/v1/models/%s", host, port, manager.name)
    code = await _until_stopped(manager, stopped)
    await runner.cleanup()
    await manager.close()
    api.close()
    second.close()
    return code


async def _until_stopped(manager: ModelManager, stopped: asyncio.Event) -> int:
    watching = asyncio.create_task(manager.run())
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait([watching, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not watching.done():
        log.info("stopping")
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        return 0
    try:
        watching.result()
    except ModelUnavailableError as error:
        log.error("there is nothing to serve: %s", error)
    return 1


def main() -> None:
    options = parse_arguments(sys.argv[1:])
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on CPU features are not warnings
    sys.exit(asyncio.run(serve(options)))


if __name__ == "__main__":
    main()
