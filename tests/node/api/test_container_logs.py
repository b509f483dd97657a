"""Logs of a container: what of them a client gets, through rotation and to the end."""

import asyncio
import shutil
import time

import pytest

from kf_spawner.k8s import times
from kf_spawner.localcluster.node.api.container_logs import LogOptionError, LogOptions, parse_options, stream_logs
from kf_spawner.localcluster.node.api.cri_log import parse_record, tail_offset

WHO = ("ns", "pod", "app")


async def read(containers, *, stopped=None, **options):
    chunks = stream_logs(
        lambda: containers.log_files(*WHO, options.get("previous", False)), LogOptions(**options), stopped=stopped
    )
    return b"".join([chunk async for chunk in chunks]).decode()


def test_record():
    record = parse_record(b"2026-11-23T17:44:11.5Z stderr P some text ")
    assert (record.stream, record.complete, record.text) == (b"stderr", False, b"some text ")
    assert parse_record(b"2026-11-23T17:44:11.5Z stdo") is None


@pytest.mark.parametrize(
    "text",
    ["2026-11-23T17:44:11.5Z", "2026-11-23T18:44:11.500+01:00", "2026-11-23T12:14:11.500000000-05:30"],
)
def test_time_in_any_zone(text):
    assert times.parse_nanoseconds(text) == 1795455851_500_000_000


def test_tail_counts_lines_not_records():
    data = b"t o F one\nt o P two-\nt o P and-\nt o F half\nt o F three\nt o P unfin\n"
    starts = {lines: data[tail_offset(data, lines)[0] :][6:9] for lines in (1, 2, 3, 4)}
    assert starts == {1: b"unf", 2: b"thr", 3: b"two", 4: b"one"}
    assert tail_offset(data, 9) == (0, 4)
    assert tail_offset(data, 0) == (len(data), 0)


async def test_partial_lines_are_joined(containers):
    log = containers.start(*WHO)
    long = "x" * 40_000
    log.feed("stdout", f"{long}\nshort\r\n".encode())
    assert await read(containers) == f"{long}\nshort\r\n"
    assert (await read(containers, timestamps=True)).count("Z ") == 2


async def test_rotated_files_are_one_log(containers):
    log = containers.start(*WHO, max_bytes=2000)
    lines = [f"line {number}" for number in range(120)]
    for line in lines:
        log.feed("stdout", f"{line}\n".encode())
    assert len(containers.log_files(*WHO, False)) > 2
    assert (await read(containers)).split("\n")[:-1] == lines
    assert (await read(containers, tail=100)).split("\n")[:-1] == lines[-100:]
    assert await read(containers, tail=0) == ""


async def test_since_stream_and_limit(containers):
    log = containers.start(*WHO)
    log.feed("stdout", b"early\n")
    moment = time.time_ns()
    log.feed("stderr", b"late\n")
    log.feed("stdout", b"later\n")
    assert await read(containers, since=moment) == "late\nlater\n"
    assert await read(containers, stream=b"stderr") == "late\n"
    assert await read(containers, limit=7) == "early\nl"


async def test_previous_is_the_run_before(containers):
    containers.start(*WHO).feed("stdout", b"first\n")
    containers.stop(*WHO)
    containers.start(*WHO).feed("stdout", b"second\n")
    assert await read(containers, previous=True) == "first\n"
    assert await read(containers) == "second\n"


async def test_follow_survives_rotation_and_ends_with_the_container(containers):
    log = containers.start(*WHO, max_bytes=500, max_files=50)
    lines = [f"line {number}" for number in range(100)]
    log.feed("stdout", f"{lines[0]}\n".encode())
    chunks = stream_logs(
        lambda: containers.log_files(*WHO, False),
        LogOptions(follow=True),
        stopped=lambda: containers.wait_stopped(*WHO),
    )
    got = [await anext(chunks)]
    for line in lines[1:]:
        log.feed("stdout", f"{line}\n".encode())
    got.append(await anext(chunks))
    log.feed("stdout", b"no newline")
    containers.stop(*WHO)
    async with asyncio.timeout(30):
        got += [chunk async for chunk in chunks]
    assert b"".join(got).decode().split("\n") == [*lines, "no newline"]


async def test_follow_goes_on_where_rotation_overtook_it(containers):
    log = containers.start(*WHO, max_bytes=500, max_files=2)
    log.feed("stdout", b"first\n")
    chunks = stream_logs(
        lambda: containers.log_files(*WHO, False),
        LogOptions(follow=True),
        stopped=lambda: containers.wait_stopped(*WHO),
    )
    assert await anext(chunks) == b"first\n"
    for number in range(200):
        log.feed("stdout", f"line {number}\n".encode())
    containers.stop(*WHO)
    async with asyncio.timeout(30):
        rest = b"".join([chunk async for chunk in chunks])
    assert rest.endswith(b"line 199\n")
    assert rest.count(b"line 199\n") == 1


async def test_follow_ends_with_a_pod_whose_files_are_removed(containers):
    containers.start(*WHO).feed("stdout", b"first\n")
    files = containers.log_files(*WHO, False)
    removed = asyncio.Event()
    chunks = stream_logs(lambda: files, LogOptions(follow=True), stopped=removed.wait)
    assert await anext(chunks) == b"first\n"
    shutil.rmtree(files[-1].parent)
    asyncio.get_running_loop().call_soon(removed.set)  # runs only if the reader lets the loop continue
    async with asyncio.timeout(60):
        assert [chunk async for chunk in chunks] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"tailLines": "-1"}, "tailLines"),
        ({"tailLines": "ten"}, "tailLines"),
        ({"sinceSeconds": "0"}, "sinceSeconds"),
        ({"sinceTime": "yesterday"}, "sinceTime"),
        ({"limitBytes": "0"}, "limitBytes"),
        ({"stream": "stdlog"}, "stream"),
    ],
)
def test_bad_options_name_the_field(query, field):
    with pytest.raises(LogOptionError, match=f"^{field}: "):
        parse_options(query)


def test_options():
    options = parse_options(
        {"follow": "true", "timestamps": "1", "sinceSeconds": "10", "stream": "Stderr"}, now=110.0
    )
    assert options == LogOptions(follow=True, timestamps=True, since=100_000_000_000, stream=b"stderr")
