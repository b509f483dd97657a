"""Bodies that no client means to send. `python -m tests.model_server.fuzzed_bodies URL PID [COUNT]` sends many.

URL is a model's, PID its server's: each body must be answered 200 or 4xx in JSON, on a connection that stays usable
unless the answer says that it closes, and the server's memory must not grow.
"""

import asyncio
import gzip
import json
import random
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp

VALUES = (
    b"1",
    b"-0",
    b"1e999",
    b"NaN",
    b"-Infinity",
    b"null",
    b"true",
    b'"wide"',
    b'"\\ud800"',
    b'{"b64": "AA=="}',
    b"[]",
)
KEYS = (b"instances", b"inputs", b"signature_name", b"b64", b"x", b"", b"\xff")
ENCODINGS = ("gzip", "deflate", "x-gzip", "identity", "br", "zstd", "gzip, gzip", "GZIP", "", "a" * 300)


def fuzzed(seed: int) -> Iterator[tuple[bytes, dict[str, str]]]:
    """Endless bodies with their headers, the same for the same seed."""
    chance = random.Random(seed)
    while True:
        pairs = [_pair(chance) for _ in range(chance.randint(1, 3))]
        if chance.random() < 0.5:
            pairs = [b'"signature_name": "wide"', b'"instances": [1.5, %s]' % _value(chance, 1)]
        body = b"{" + b", ".join(pairs) + b"}"
        if chance.random() < 0.1:
            body = b"[" * chance.randint(1, 5000) + body
        if chance.random() < 0.5:
            body = _damaged(body, chance)
        headers = {}
        if chance.random() < 0.5:
            headers["Content-Encoding"] = encoding = chance.choice(ENCODINGS)
            if chance.random() < 0.7:
                body = zlib.compress(body) if encoding == "deflate" else gzip.compress(body, mtime=0)
            if chance.random() < 0.5:
                body = _damaged(body, chance)
        yield body, headers


def _pair(chance: random.Random) -> bytes:
    return b'"%s": %s' % (chance.choice(KEYS), _value(chance, 4))


def _value(chance: random.Random, depth: int) -> bytes:
    if not depth or chance.random() < 0.4:
        return chance.choice(VALUES)
    if chance.random() < 0.2:
        return b"{" + _pair(chance) + b"}"
    return b"[" + b", ".join(_value(chance, depth - 1) for _ in range(chance.randint(0, 4))) + b"]"


def _damaged(body: bytes, chance: random.Random) -> bytes:
    changed = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(changed))
        changed[at : at + chance.randint(0, 8)] = chance.randbytes(chance.randint(0, 8))
    return bytes(changed)


async def send(http: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> int:
    """The answer's status. Fails if it is none that a body deserves."""
    async with http.post(f"{url}:predict", data=body, headers=headers) as answer:
        text = await answer.read()
        assert answer.status == 200 or 400 <= answer.status < 500 or answer.status == 501, (answer.status, body, text)
        assert list(json.loads(text)) == (["error"] if answer.status != 200 else [*json.loads(text)]), (body, text)
        return answer.status


def _resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


async def _main(url: str, pid: int, count: int) -> None:
    bodies = fuzzed(1)
    statuses: Counter[int] = Counter()
    # aiohttp sends a request again if a connection that was kept open is closed: not with POST.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=4)) as http:
        for done in range(0, count, 100):
            if done % 2000 == 0:
                print(f"{done} sent, {_resident(pid)} MB")
            chunk = [next(bodies) for _ in range(100)]
            statuses.update(await asyncio.gather(*(send(http, url, *each) for each in chunk)))
    print(f"{count} sent, {_resident(pid)} MB: {dict(statuses)}")


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2]), int((sys.argv[3:] or ["10000"])[0])))
