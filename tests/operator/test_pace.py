"""The requests of a large job leave the API server time for the jobs of others."""

import asyncio
from unittest import mock

import pytest

from kf_spawner.operator import pace
from kf_spawner.operator.pace import AT_ONCE, Pace
from kf_spawner.operator.queue import WorkQueue

COUNT = 3 * AT_ONCE


class Requests:
    """Requests that take a few turns of the loop: how many were under way at once, and what was heard meanwhile."""

    def __init__(self) -> None:
        self.at_once = self.most = self.sent = 0

    async def send(self, number: int) -> int:
        self.sent += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        for _ in range(3):
            await asyncio.sleep(0)
        self.at_once -= 1
        if number == 1:
            raise ValueError("refused")
        return number


@pytest.fixture
async def queue():
    queue = WorkQueue()
    for key, is_long in (("bob/short", False), ("ada/long", True)):
        queue.add(key)
        await queue.get()
        queue.mark(key, is_long=is_long)
    yield queue
    queue.close()


async def test_a_large_job_has_the_api_server_while_nobody_else_has_work(queue):
    queue.mark("bob/short", is_long=True)
    requests = Requests()
    answers = await Pace(queue).each("ada/long", requests.send, range(COUNT))
    assert requests.most == AT_ONCE
    assert isinstance(answers[1], ValueError)
    assert [answers[0], *answers[2:]] == [0, *range(2, COUNT)]


async def test_no_request_is_sent_while_another_namespace_has_work(queue):
    requests = Requests()
    with mock.patch.object(pace, "PATIENCE", 60):
        sending = asyncio.create_task(Pace(queue).each("ada/long", requests.send, range(COUNT)))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not requests.sent
        queue.done("bob/short")
        await sending
    assert requests.sent == COUNT


async def test_beside_others_there_is_a_rest_after_each_request(queue):
    queue.done("bob/short")
    requests, rests = Requests(), []

    async def rest(seconds: float) -> None:
        assert requests.at_once == 0
        rests.append((requests.sent, seconds))

    clock = iter(range(1000))
    with mock.patch.multiple(pace, sleep=rest, monotonic=lambda: next(clock)):
        await Pace(queue).each("ada/long", requests.send, range(COUNT))
    assert rests == [(sent, pace.REST) for sent in range(1, COUNT + 1)]
