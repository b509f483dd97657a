"""The log options of a kubelet, applied to the log of a container. No HTTP: text in, bytes out."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kf_spawner.k8s import times

from .cri_log import LogReader, Record, parse_record

FOLLOW_POLL = 0.1
"""Seconds between two reads of a followed log: the standard library cannot notify us of a write."""
TRUE = ("1", "t", "true", "yes")
STREAMS = {"all": None, "stdout": b"stdout", "stderr": b"stderr"}


class LogOptionError(Exception):
    """A log option with a wrong value; the message names the option."""


@dataclass(frozen=True, kw_only=True)
class LogOptions:
    """Of v1.PodLogOptions. `since`: nanoseconds since 1970; `tail` in lines, `limit` in bytes; None is all."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail: int | None = None
    since: int | None = None
    limit: int | None = None
    stream: bytes | None = None


def parse_options(query: Mapping[str, str], *, now: float | None = None) -> LogOptions:
    """The options in a request's query. Raises LogOptionError."""
    stream = query.get("stream", "") or "all"
    if stream.lower() not in STREAMS:
        raise LogOptionError(f"stream: {stream!r} must be All, Stdout or Stderr")
    return LogOptions(
        follow=flag(query, "follow"),
        previous=flag(query, "previous"),
        timestamps=flag(query, "timestamps"),
        tail=number(query, "tailLines", least=0),
        limit=number(query, "limitBytes", least=1),
        since=parse_since(query, time.time() if now is None else now),
        stream=STREAMS[stream.lower()],
    )


def flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in TRUE


def number(query: Mapping[str, str], name: str, *, least: int) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    try:
        value = int(text)
    except ValueError:
        raise LogOptionError(f"{name}: {text!r} is not a whole number") from None
    if value < least:
        raise LogOptionError(f"{name}: {value} must be {least} or more")
    return value


def parse_since(query: Mapping[str, str], now: float) -> int | None:
    seconds = number(query, "sinceSeconds", least=1)
    if seconds is not None:
        return int((now - seconds) * 1_000_000_000)
    if not query.get("sinceTime"):
        return None
    try:
        return times.parse_nanoseconds(query["sinceTime"])
    except ValueError as error:
        raise LogOptionError(f"sinceTime: {error}") from error


class LogRenderer:
    """Selects and formats the records that a client gets."""

    def __init__(self, options: LogOptions) -> None:
        self._options = options
        self._left = options.limit
        self._at_line_start = True

    @property
    def exhausted(self) -> bool:
        """Whether the limit of bytes is reached."""
        return self._left == 0

    def render(self, data: bytes) -> bytes:
        """What the client gets of `data`, which holds complete records."""
        # Not splitlines(): the carriage returns of a program are part of its text.
        out = bytearray()
        for line in data.split(b"\n"):
            record = parse_record(line)
            if record and self._wanted(record):
                if self._options.timestamps and self._at_line_start:
                    out += record.time + b" "
                out += record.text
                self._at_line_start = record.complete
                if record.complete:
                    out += b"\n"
        if self._left is None:
            return bytes(out)
        given = bytes(out[: self._left])
        self._left -= len(given)
        return given

    def _wanted(self, record: Record) -> bool:
        if self._options.stream not in (None, record.stream):
            return False
        if self._options.since is None:
            return True
        try:
            return times.parse_nanoseconds(record.time.decode()) >= self._options.since
        except ValueError:
            return False


async def stream_logs(
    files: Callable[[], Sequence[Path]], options: LogOptions, *, stopped: Callable[[], Awaitable[None]] | None
) -> AsyncGenerator[bytes, None]:
    """The log of one run of a container, in pieces.

    `files` lists its files, oldest first. `stopped()` returns when the run has ended: then a followed log ends.
    Without `follow` or `stopped`, the log ends with its last record.
    """
    renderer = LogRenderer(options)
    reader = LogReader(files)
    end = asyncio.ensure_future(stopped()) if stopped and options.follow else None
    try:
        await asyncio.to_thread(reader.open, files(), options.tail)
        while not renderer.exhausted:
            ended = end is None or end.done()  # checked before the read, so that the read gets everything
            if data := reader.read():
                if text := renderer.render(data):
                    yield text
                continue
            if ended:
                return
            assert end is not None
            await asyncio.wait({end}, timeout=FOLLOW_POLL)
    finally:
        reader.close()
        if end is not None:
            end.cancel()
            await asyncio.gather(end, return_exceptions=True)
