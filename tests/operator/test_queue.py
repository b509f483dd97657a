"""The work queue: order by key, no work lost, none done twice."""

import asyncio
import time
from unittest import mock

import pytest

from kf_spawner.operator.queue import LAST_RETRY, RECENT, QueueClosed, WorkQueue


@pytest.fixture
async def queue():
    queue = WorkQueue()
    yield queue
    queue.close()


async def test_a_key_added_twice_comes_once(queue):
    for key in ("a", "b", "a"):
        queue.add(key)
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert len(queue) == 0


async def test_namespaces_take_turns(queue):
    for number in range(4):
        queue.add(f"ada/job-{number}")
    assert await queue.get() == "ada/job-0"
    for key in ("bob/one", "eve/one", "bob/two"):
        queue.add(key)
    queue.add("ada/job-0")
    queue.done("ada/job-0")  # a long job comes back at once, for its next part
    order = [await queue.get() for _ in range(len(queue))]
    assert order == ["ada/job-1", "bob/one", "eve/one", "ada/job-2", "bob/two", "ada/job-3", "ada/job-0"]


async def test_a_key_is_never_worked_on_twice_at_once(queue):
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.add("b")
    assert await queue.get() == "b"
    assert len(queue) == 0
    queue.done("a")
    assert await queue.get() == "a"


async def test_a_waiting_worker_is_woken(queue):
    waiting = [asyncio.create_task(queue.get()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.add("a")
    queue.add("b")
    assert sorted(await asyncio.gather(*waiting)) == ["a", "b"]


async def test_a_cancelled_worker_leaves_the_key_to_another(queue):
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()
    assert await asyncio.wait_for(second, 5) == "a"
    assert first.cancelled()


async def test_of_two_delays_the_earlier_counts(queue):
    loop = asyncio.get_running_loop()
    began = loop.time()
    queue.add_after("a", 60)
    queue.add_after("a", 0.05)
    queue.add_after("a", 30)
    assert await asyncio.wait_for(queue.get(), 5) == "a"
    assert loop.time() - began < 5


async def test_work_on_a_key_settles_its_delay(queue):
    """An earlier turn decides again when the next one is due."""
    queue.add_after("a", 0.05)
    queue.add("a")
    assert await queue.get() == "a"
    queue.done("a")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 0.2)


async def test_retries_come_ever_later_until_one_goes_well(queue):
    delays = [queue.retry("a") for _ in range(14)]
    assert delays[:4] == [0.05, 0.1, 0.2, 0.4]
    assert delays[-1] == LAST_RETRY
    queue.forget("a")
    assert queue.retry("a") == 0.05


async def test_closing_ends_all_workers(queue):
    waiting = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.close()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, QueueClosed) for result in results)
    queue.add("a")
    with pytest.raises(QueueClosed):
        await queue.get()


async def test_a_key_that_is_wanted_again_while_it_closes_does_not_come(queue):
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.close()
    queue.done("a")
    with pytest.raises(QueueClosed):
        await queue.get()


async def begin(queue: WorkQueue, key: str, *, is_long: bool) -> None:
    queue.add(key)
    assert await queue.get() == key
    queue.mark(key, is_long=is_long)


async def test_long_work_gives_way_to_short_work_of_other_namespaces(queue):
    await begin(queue, "ada/long", is_long=True)
    await begin(queue, "bob/short", is_long=False)
    queue.add("eve/short")
    giving_way = asyncio.create_task(queue.give_way("ada/long", patience=60))
    queue.done("bob/short")
    assert not await has_ended(giving_way), "a key that waits for its turn counts"
    assert await queue.get() == "eve/short"
    queue.done("eve/short")
    assert await has_ended(giving_way)


async def test_nobody_gives_way_to_long_work_or_within_a_namespace(queue):
    for key in ("ada/long", "bob/long"):
        await begin(queue, key, is_long=True)
    await begin(queue, "bob/short", is_long=False)
    queue.add("bob/waiting")
    queue.add("bob/long")
    assert await has_ended(asyncio.create_task(queue.give_way("bob/long", patience=60)))
    queue.done("bob/short")
    assert await queue.get() == "bob/waiting"
    queue.done("bob/waiting")
    assert await has_ended(asyncio.create_task(queue.give_way("ada/long", patience=60)))


async def test_long_work_goes_on_though_others_always_have_some(queue):
    queue.add("bob/short")
    await asyncio.wait_for(queue.give_way("ada/long", patience=0.05), 5)


async def has_ended(task: asyncio.Task) -> bool:
    for _ in range(3):
        await asyncio.sleep(0)
    return task.done()


async def test_the_short_work_of_others_is_remembered_for_a_while(queue):
    await begin(queue, "ada/long", is_long=True)
    assert not queue.is_shared("ada/long")
    for key in ("ada/short", "bob/short"):
        queue.add(key)
        assert await queue.get() == key
        queue.done(key)
    with mock.patch("time.monotonic", return_value=time.monotonic() + RECENT - 1):
        assert queue.is_shared("ada/long")
    with mock.patch("time.monotonic", return_value=time.monotonic() + RECENT + 1):
        assert not queue.is_shared("ada/long")
        queue.add("bob/short")
        assert queue.is_shared("ada/long")
