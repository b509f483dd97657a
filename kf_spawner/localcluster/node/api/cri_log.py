"""Container logs on disk in the format of the container runtime interface, and a reader that survives rotation.

A record is `2026-11-23T17:44:11.123456789Z stdout F text`, with tag P where the line continues in the
next record. Rotation renames the current file and begins a new one. Knows nothing of pods or HTTP.
"""

import mmap
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

CHUNK = 64 * 1024
HEADER = 64
"""Bytes that always hold the time, stream and tag of a record."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record; `text` is without a newline, `complete` says that the line ends here."""

    time: bytes
    stream: bytes
    complete: bool
    text: bytes


def parse_record(line: bytes) -> Record | None:
    """The record in `line` (no newline at its end), or None if it is not one: a crash may leave half a record."""
    parts = line.split(b" ", 3)
    if len(parts) != 4 or parts[2] not in (b"F", b"P"):
        return None
    return Record(parts[0], parts[1], parts[2] == b"F", parts[3])


def tail_offset(data: bytes | mmap.mmap, lines: int) -> tuple[int, int]:
    """Where the last `lines` lines of `data` begin, and how many lines there are.

    An unfinished last line counts too.
    """
    end = data.rfind(b"\n") + 1
    found = 0
    start = end
    while start > 0:
        begin = data.rfind(b"\n", 0, start - 1) + 1
        ends_here = parse_record(data[begin : min(begin + HEADER, start)].rstrip(b"\n"))
        if start == end or (ends_here and ends_here.complete):
            if found == lines:
                return start, found
            found += 1
        start = begin
    return 0, found


class LogReader:
    """Reads the records of one run of a container, oldest first, also while the log rotates.

    `files()` returns the current paths, oldest first. Call open() first and close() at the end.
    """

    def __init__(self, files: Callable[[], Sequence[Path]]) -> None:
        self._files = files
        self._rest = b""
        self._file: BinaryIO | None = None

    def open(self, paths: Sequence[Path], tail: int | None = None) -> None:
        """Opens the first of `paths`, which `files()` gave, or goes to the last `tail` lines of all of them.

        Many lines take long: call it in a thread.
        """
        self._file = _open_at(paths, tail)

    def read(self) -> bytes:
        """The next complete records, each with its newline; empty if there are none yet."""
        while self._file is not None or self._advance():
            assert self._file is not None
            if data := self._read_records(self._file):
                return data
            if not self._has_newer():
                return b""
            # Rotated: the writer has closed this file, so its content is complete.
            if data := self._read_records(self._file):
                return data
            if not self._advance():  # removed since it was listed, as all files are when the pod is gone
                break
        return b""

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read_records(self, file: BinaryIO) -> bytes:
        while chunk := file.read(CHUNK):
            self._rest += chunk
            end = self._rest.rfind(b"\n") + 1
            if end:
                data, self._rest = self._rest[:end], self._rest[end:]
                return data
        return b""

    def _newer(self) -> Path | None:
        paths = list(self._files())
        if self._file is None:
            return paths[0] if paths else None
        mine = os.fstat(self._file.fileno())
        for index, path in enumerate(paths):
            try:
                if os.path.samestat(mine, path.stat()):
                    return paths[index + 1] if index + 1 < len(paths) else None
            except FileNotFoundError:
                continue
        # Our file was rotated away while we read it: the records in between are lost.
        return paths[0] if paths else None

    def _has_newer(self) -> bool:
        return self._newer() is not None

    def _advance(self) -> bool:
        """Moves to the next newer file; False if there is none."""
        path = self._newer()
        file = open_existing(path) if path else None
        if file is None:
            return False
        self.close()
        self._file = file
        self._rest = b""
        return True


def _open_at(paths: Sequence[Path], tail: int | None) -> BinaryIO | None:
    """The first file to read, at the position to start from. Closes the others."""
    opened = [file for path in paths if (file := open_existing(path))]
    chosen = opened[0] if opened else None
    if tail is not None:
        for chosen in reversed(opened):
            offset, found = tail_in(chosen, tail)
            chosen.seek(offset)
            tail -= found
            if tail <= 0:
                break
    for file in opened:
        if file is not chosen:
            file.close()
    return chosen


def open_existing(path: Path) -> BinaryIO | None:
    """The open file, or None if it was rotated away after the listing."""
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def tail_in(file: BinaryIO, lines: int) -> tuple[int, int]:
    """tail_offset() of an open file; reads only the end of the file."""
    size = os.fstat(file.fileno()).st_size
    if not size:
        return 0, 0
    with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
        return tail_offset(data, lines)
