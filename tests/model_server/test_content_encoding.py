"""Compressed bodies: what they stand for, how far they are counted, and what is refused."""

import gzip
import zlib

import pytest

from kf_spawner.model_server.content_encoding import PIECE, known, measured
from kf_spawner.model_server.errors import ServingError

ANY = 2**40
TEXT = bytes(range(256)) * (PIECE // 100)


def deflated(text: bytes, bits: int) -> bytes:
    made = zlib.compressobj(wbits=bits)
    return made.compress(text) + made.flush()


@pytest.mark.parametrize("text", [b"", b"{}", TEXT[:PIECE], TEXT], ids=len)
@pytest.mark.parametrize(
    ("header", "compress"),
    [
        (None, bytes),
        ("identity", bytes),
        ("gzip", gzip.compress),
        (" X-GZIP", gzip.compress),
        ("gzip", lambda text: gzip.compress(text, 0)),
        ("deflate", zlib.compress),
        ("deflate", lambda text: deflated(text, -zlib.MAX_WBITS)),
    ],
)
def test_what_a_body_stands_for(header, compress, text):
    body = measured(compress(text), known(header), ANY)
    assert (body.size, body.decoded()) == (len(text), text)


def test_a_bomb_is_counted_until_it_is_too_large():
    bomb = gzip.compress(bytes(20 * PIECE))
    assert PIECE < measured(bomb, "gzip", PIECE).size < 3 * PIECE


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"", "ends before"),
        (b'{"instances": [1]}', "is not gzip"),
        (gzip.compress(TEXT)[:-9], "ends before"),
        (gzip.compress(TEXT)[:-8] + bytes(8), "is not gzip"),
        (gzip.compress(TEXT) + b"{}", "More follows"),
        (gzip.compress(TEXT, 0) + bytes(PIECE), "More follows"),
    ],
)
def test_what_is_not_gzip_is_refused(sent, says):
    with pytest.raises(ServingError, match=says) as caught:
        measured(sent, "gzip", ANY)
    assert caught.value.http_status == 400


@pytest.mark.parametrize("header", ["zstd", "br", "gzip, gzip", "x" * 1000])
def test_an_unknown_encoding_is_named(header):
    with pytest.raises(ServingError, match=r"Content-Encoding '(zstd|br|gzip, gzip|x{100})' cannot be read"):
        known(header)
