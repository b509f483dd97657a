"""Large JSON is read as `json` reads it, and the event loop goes on meanwhile."""

import json
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kf_spawner.kube import json_text
from tests.fixtures.loop_time import loop_is_never_held

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
NO_JSON = ["", "{", "{}x", '{"a"', '{"a":', '{"a":[', '{"a":[1', '{"a":[1,]}', '{"a":1,}', '{"a" 1}', "{1:2}", "\xff"]


async def read_as_large(text: bytes) -> object:
    with mock.patch.object(json_text, "PIECE", 0):
        return await json_text.decoded(text)


@given(value=VALUES, indent=st.sampled_from([None, 1]))
async def test_any_value_is_read_as_json_reads_it(value, indent):
    assert await read_as_large(json.dumps(value, indent=indent).encode()) == value


@pytest.mark.parametrize("text", NO_JSON)
async def test_what_is_no_json_is_refused_as_json_refuses_it(text):
    with pytest.raises(ValueError) as theirs:
        json.loads(text.encode("latin1"))
    with pytest.raises(ValueError) as ours:
        await read_as_large(text.encode("latin1"))
    assert str(ours.value) == str(theirs.value)


async def test_a_large_list_does_not_hold_the_loop():
    entry = [1] * 100_000
    text = b'{"kind": "List", "items": [%s]}' % b", ".join([json.dumps(entry, separators=(",", ":")).encode()] * 80)
    async with loop_is_never_held():
        found = await json_text.decoded(text)
    assert found == {"kind": "List", "items": [entry] * 80}
