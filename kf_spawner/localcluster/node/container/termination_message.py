"""Reads the termination message of a container. Blocking; reads small files only."""

import os
from pathlib import Path

from ..process.attempts import MESSAGE_FILE, Attempt, Exit

MESSAGE_LIMIT = 4096
LOG_LIMIT = 2048
LOG_LINES = 80


def termination_message(attempt: Attempt, exit_: Exit, *, from_logs: bool) -> str:
    """The end of the termination message file. `from_logs`: or the end of the log after a failure."""
    if exit_.error:
        return exit_.error
    path = attempt.directory / MESSAGE_FILE
    text = _end_of(path, MESSAGE_LIMIT)
    if not text and from_logs and exit_.code:
        text = _log_tail(attempt.files_of(attempt.directory)[-1])
    return text


def _end_of(path: Path, limit: int) -> str:
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - limit))
            return file.read(limit).decode(errors="replace")
    except FileNotFoundError:
        return ""


def _log_tail(path: Path) -> str:
    if not path.exists():
        return ""
    with open(path, "rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - 4 * LOG_LIMIT))
        lines = file.read().splitlines()[-LOG_LINES:]
    records = [line.split(b" ", 3) for line in lines if line.count(b" ") >= 3]
    texts = (text.decode(errors="replace") + "\n" * (tag == b"F") for _, _, tag, text in records)
    return "".join(texts).encode()[-LOG_LIMIT:].decode(errors="ignore")
