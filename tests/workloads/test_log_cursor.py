"""No line is lost and none is told twice, wherever a stream of logs is cut, also among lines of one time."""

import asyncio
from contextlib import aclosing
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kf_spawner.workloads import pod_logs
from kf_spawner.workloads.change_count import ChangeCount
from kf_spawner.workloads.log_cursor import Cursor, CursorError, LogReading
from kf_spawner.workloads.pod_logs import PodLog
from kf_spawner.workloads.streams import read_pods
from tests.workloads.kubelet_log import KubeletLog, Line, stamp

SECOND = 1_000_000_000
# Few times, so that many lines have the same one; a little out of order; on both sides of whole seconds.
STEPS = st.lists(st.sampled_from([0, 0, 0, 1, 400_000_000, 700_000_000, 3 * SECOND]), max_size=12)
JITTER = st.sampled_from([0, 0, 0, 1, 250_000_000])
# Some come in two or three pieces: with their time they have more than KubeletLog.longest bytes.
TEXTS = st.sampled_from(["", "a", "a", "b", " b", "x" * 40, "é" * 50])


@st.composite
def lines(draw, begin: int = 0) -> list[Line]:
    """Lines of one run of a container, in the order of the log."""
    found, now = [], begin
    for step in draw(STEPS):
        now += step
        found.append((max(begin, now - draw(JITTER)), draw(TEXTS)))
    return found


@st.composite
def two_runs(draw) -> list[list[Line]]:
    """The second may begin at the very time at which the first one ended."""
    first = draw(lines())
    end = max((time for time, _ in first), default=0)
    return [first, draw(lines(begin=end + draw(st.sampled_from([0, 0, 1, SECOND]))))]


def texts(items: list[dict]) -> list[tuple[str, str]]:
    """The lines that the items are, or are pieces of."""
    found: list[tuple[str, str]] = []
    continued = False
    for item in items:
        text = found.pop()[1] + item["line"] if continued else item["line"]
        found.append((item["time"], text))
        continued = "continues" in item
    return found


def written(*runs: list[Line]) -> list[tuple[str, str]]:
    return [(stamp(time), text) for run in runs for time, text in run]


async def read(log: KubeletLog, cursor: str, *, limit: int | None = None, tail: int | None = None) -> list[dict]:
    """A client's request that names its last cursor, cut off after `limit` items."""
    items: list[dict] = []
    after = {"uid": Cursor.parse(cursor)} if cursor else None
    stream = read_pods(log, namespace="ns", selector="", name_of=lambda _pod: "worker-0", tail=tail, after=after)
    async with aclosing(stream):
        async for item in stream:
            if limit is not None and len(items) == limit:
                break
            items.append(item)
    return items


@given(lines())
def test_a_log_that_is_cut_at_any_line_goes_on_exactly_after_it(run):
    log = KubeletLog()
    log.write(run)
    pieces = asyncio.run(read(log, ""))
    for limit in range(len(pieces) + 1):
        first = asyncio.run(read(log, "", limit=limit))
        assert len(first) == limit
        second = asyncio.run(read(log, first[-1]["cursor"] if first else ""))
        assert texts(first + second) == written(run)


@given(lines(), st.lists(st.integers(0, 4), max_size=8))
def test_a_log_that_is_cut_again_and_again_while_it_grows(run, cuts):
    log, told, cursor = KubeletLog(), [], ""
    for number, cut in enumerate(cuts):
        log.write(run[number * 2 : number * 2 + 2])
        told += asyncio.run(read(log, cursor, limit=cut))
        cursor = told[-1]["cursor"] if told else ""
    log.write(run[len(cuts) * 2 :])
    told += asyncio.run(read(log, cursor))
    assert texts(told) == written(run)


@given(lines(), st.integers(1, 13))
def test_the_last_lines_are_continued_too(run, tail):
    log = KubeletLog()
    log.longest = 1000
    log.write(run)
    whole = asyncio.run(read(log, "", tail=tail))
    assert texts(whole) == written(run)[-tail:]
    for limit in range(1, len(whole) + 1):
        first = asyncio.run(read(log, "", tail=tail, limit=limit))
        second = asyncio.run(read(log, first[-1]["cursor"], tail=tail))
        assert texts(first + second) == texts(whole)


@given(lines(), st.data())
def test_of_a_rotated_log_what_is_left_is_told_once(run, data):
    run = [(time, f"{text} {number}") for number, (time, text) in enumerate(sorted(run))]
    log = KubeletLog()
    log.longest = 1000
    log.write(run)
    limit = data.draw(st.integers(0, len(run)))
    first = asyncio.run(read(log, "", limit=limit))
    log.rotated = data.draw(st.integers(0, len(run)))
    second = asyncio.run(read(log, first[-1]["cursor"] if first else ""))
    assert texts(second) == written(run)[max(limit, log.rotated) :]


async def follow(log: KubeletLog, cursor: str) -> list[dict]:
    """All that following a pod to its end tells after a cursor."""
    queue: asyncio.Queue = asyncio.Queue()
    after = Cursor.parse(cursor) if cursor else None
    follower = PodLog(log, log.pod, replica="worker-0", container=None, queue=queue, after=after)

    def current() -> dict:
        log.before_status()
        return log.pod

    with mock.patch.object(pod_logs, "RETRY_EVERY", 0):
        async with asyncio.timeout(60):
            await follower.follow(current, ChangeCount())
    return [queue.get_nowait() for _ in range(queue.qsize())]


def run_container(log: KubeletLog, runs: list[list[Line]]) -> None:
    """The container writes two lines before each request. It restarts after each run and finishes after the last."""
    coming = [list(run) for run in runs]

    def write() -> None:
        run = coming[len(log.runs) - 1]
        log.write([run.pop(0) for _ in range(min(2, len(run)))])

    def go_on() -> None:
        if coming[len(log.runs) - 1]:
            return
        if len(log.runs) < len(coming):
            log.restart()
        elif not log.finished:
            log.finish()

    log.before_request, log.before_status = write, go_on


@given(two_runs(), st.lists(st.none() | st.integers(0, 5), max_size=12), st.integers(0, 25))
def test_following_over_broken_connections_a_restart_and_a_cut(runs, breaks, cut):
    log = KubeletLog()
    log.breaks = list(breaks)
    run_container(log, runs)
    told = asyncio.run(follow(log, ""))
    assert texts(told) == written(*runs)
    log.breaks = list(breaks)
    kept = told[:cut]
    again = asyncio.run(follow(log, kept[-1]["cursor"] if kept else ""))
    assert texts(kept + again) == written(*runs)


def test_a_status_that_lags_behind_costs_no_line_and_repeats_none():
    """The lines of the second run were taken for the first one's, as the pod's status did not tell of it yet."""
    run = [(SECOND, "a"), (2 * SECOND, "b"), (3 * SECOND, "c")]
    raw = [f"{stamp(time)} {text}" for time, text in run]
    early = LogReading("uid", 0)
    told = [line for text in raw[:2] for line in early.take(text)]
    late = LogReading("uid", 1, told[-1].cursor)
    told += [line for text in raw for line in late.take(text)]
    assert [line.text for line in told] == ["a", "b", "c"]


def test_a_message_of_the_kubelet_is_told_and_has_no_cursor():
    (line,) = LogReading("uid", 0).take("unable to retrieve container logs for containerd://x")
    assert (line.time, line.cursor) == ("", None)
    assert line.text == "unable to retrieve container logs for containerd://x"


@given(st.integers(0, 10**9 - 1), st.integers(0, 2**62), st.integers(1, 10**9 - 1), st.integers(0, 2**32 - 1))
def test_a_cursor_is_read_as_it_was_written(restart, time, count, checksum):
    cursor = Cursor("3f1c8a52-0c1e-4b7e-9f51-1f0f6c1e2a77", restart, time, count, checksum)
    assert Cursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text", ["", "x", "a.1.2.3", "a.1.2.3.deadbeeg", "a.-1.2.3.deadbeef", "a.1.2.3.deadbeef ", "é.1.2.3.deadbeef"]
)
def test_what_is_no_cursor_is_refused(text):
    with pytest.raises(CursorError):
        Cursor.parse(text)
