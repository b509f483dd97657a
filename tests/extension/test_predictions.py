"""Predictions on their way to the door: how many at one time, and which of the waits was too long."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from kf_spawner.extension import endpoints
from kf_spawner.extension.endpoints import EndpointDefaults, Endpoints
from kf_spawner.workloads.errors import RequestError


class NoCluster:
    """A prediction that is answered asks the cluster nothing."""

    namespace = "kf-ada"

    async def client(self) -> None:
        return None


class Door:
    """Answers no prediction before `wanted` of them are there."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.held = 0
        self.first = asyncio.Event()
        self.full = asyncio.Event()
        self.url = ""

    async def answer(self, _request: web.Request) -> web.Response:
        self.held += 1
        self.first.set()
        if self.held == self.wanted:
            self.full.set()
        await self.full.wait()
        return web.json_response({"predictions": [7]})


@contextlib.asynccontextmanager
async def opened(wanted: int) -> AsyncIterator[Door]:
    door = Door(wanted)
    app = web.Application()
    app.router.add_post("/{path:.*}", door.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    door.url = f"http://127.0.0.1:{runner.addresses[0][1]}/serving"
    yield door
    door.full.set()
    await runner.cleanup()


@contextlib.contextmanager
def asking(url: str, *, predict_timeout: float = 60.0):
    defaults = EndpointDefaults(image=None, claim=None, home=None, door=url, public=url, token="t")
    manager = Endpoints(NoCluster(), defaults, predict_timeout=predict_timeout)
    yield manager
    manager.close()


async def refusal(manager: Endpoints) -> tuple[int, str, str]:
    with pytest.raises(RequestError) as caught:
        await manager.predict("digits", b"{}")
    return caught.value.status, caught.value.reason, caught.value.message


async def test_many_slow_predictions_are_asked_for_at_one_time():
    async with opened(40) as door:
        with asking(door.url) as manager:
            answers = await asyncio.gather(*(manager.predict("digits", b"{}") for _ in range(40)))
    assert {answer.code for answer in answers} == {200}


async def test_more_than_that_are_told_so(monkeypatch):
    monkeypatch.setattr(endpoints, "PREDICTIONS", 1)
    async with opened(2) as door:
        with asking(door.url) as manager:
            first = asyncio.create_task(manager.predict("digits", b"{}"))
            await door.first.wait()
            monkeypatch.setattr(endpoints, "CONNECT_TIMEOUT", 0.2)
            status, reason, message = await refusal(manager)
            door.full.set()
            assert (await first).code == 200
    assert (status, reason) == (429, "TooManyPredictions")
    assert "already waits for 1 predictions" in message


async def test_a_model_that_takes_too_long_is_named():
    async with opened(2) as door:
        with asking(door.url, predict_timeout=1) as manager:
            said = await refusal(manager)
    assert said == (504, "PredictTimeout", "the endpoint 'digits' did not answer within 1 seconds")


async def test_a_door_that_takes_no_connection_is_named(monkeypatch):
    monkeypatch.setattr(endpoints, "CONNECT_TIMEOUT", 0.2)
    with contextlib.ExitStack() as sockets:
        deaf = sockets.enter_context(socket.socket())
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        sockets.enter_context(socket.create_connection(deaf.getsockname()))  # all that it has room for
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/serving"
        with asking(url) as manager:
            status, reason, message = await refusal(manager)
    assert (status, reason) == (502, "DoorUnreachable")
    assert message == f"{url} accepts no connection within 0.2 seconds"


async def test_a_door_that_is_not_there_is_named():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/serving"
        with asking(url) as manager:
            status, reason, message = await refusal(manager)
    assert (status, reason) == (502, "DoorUnreachable")
    assert f"{url} cannot be reached" in message
