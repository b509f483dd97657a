"""Large requests beside others, with a model that needs no TensorFlow: none takes a thread while it waits."""

import asyncio
import gc
import threading
import weakref
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer

from kf_spawner.model_server.rest import RestApi
from kf_spawner.model_server.savedmodel import Outputs, SavedModel, spare_from_search
from kf_spawner.model_server.second_process import LARGE, MANY

PREDICT = "/v1/models/m:predict"
SIZES = {
    "numbers": ([np.zeros(MANY // 2), np.zeros(MANY // 2)], False),
    "many numbers": ([np.zeros(MANY), np.zeros(1)], True),
    "a text": ([np.array([b"x" * LARGE], dtype=object)], False),
    "a long text": ([np.array([b"x" * LARGE, b"x"], dtype=object)], True),
    "a long text alone": ([np.asarray(b"x" * (LARGE + 1))], True),
}


class Model:
    """Answers with the body. A body that begins with `long` has a large answer, which is written once that may be."""

    def __init__(self) -> None:
        self.may_write = threading.Event()
        self.both = threading.Barrier(2)
        self.predicted: list[bytes] = []

    def read(self, verb: str, body: bytes) -> bytes:
        return body

    def predict(self, inputs: bytes) -> SimpleNamespace:
        self.predicted.append(inputs)
        if inputs.startswith(b"both"):
            self.both.wait(60)
        return SimpleNamespace(body=inputs, is_large=inputs.startswith(b"long"))

    def write(self, outputs: SimpleNamespace) -> bytes:
        assert not outputs.is_large or self.may_write.wait(20)
        body: bytes = outputs.body
        return body


@asynccontextmanager
async def served(model: Model, threads: int = 1, **limits: float):
    @contextmanager
    def use(_version):
        yield SimpleNamespace(model=model)

    set_limits: Any = {"max_body": 2**20, "body_timeout": 60, "timeout": 60, "queue": 1000, **limits}
    api = RestApi(SimpleNamespace(name="m", use=use, is_ending=False), threads=threads, **set_limits)
    async with TestClient(TestServer(api.application())) as client:
        yield client
    api.close()


async def answer(client: TestClient, body: bytes) -> bytes:
    async with client.post(PREDICT, data=body) as response:
        assert response.status == 200, await response.text()
        return await response.read()


async def test_large_bodies_are_predicted_side_by_side():
    body = b"both" + b" " * LARGE
    async with served(Model(), threads=2) as client:
        assert await asyncio.gather(answer(client, body), answer(client, body)) == [body, body]


async def test_large_answers_that_wait_leave_the_threads_to_others():
    model = Model()
    async with served(model, threads=1) as client:
        waiting = [asyncio.create_task(answer(client, b"long")) for _ in range(3)]
        await asyncio.sleep(0.1)
        try:
            assert await asyncio.wait_for(answer(client, b"short"), 10) == b"short"
            assert not any(task.done() for task in waiting)
        finally:
            model.may_write.set()
        assert await asyncio.gather(*waiting) == [b"long"] * 3


@pytest.mark.parametrize("name", SIZES)
def test_how_large_outputs_are(name):
    arrays, is_large = SIZES[name]
    assert Outputs("instances", {str(number): array for number, array in enumerate(arrays)}).is_large is is_large


def test_a_closed_model_leaves_nothing_behind():
    class Session:
        def __init__(self) -> None:
            self.graph = self  # as a graph and its operations refer to each other

        def close(self) -> None: ...

    model = object.__new__(SavedModel)
    model._session = Session()
    graph = weakref.ref(model._session)
    try:
        spare_from_search()  # as the load of the next version does
        model.close()
        assert graph() is None
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()
