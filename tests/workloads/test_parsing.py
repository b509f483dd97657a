"""What callers send is what JSON can say, before anything looks at what it means."""

import pytest

from kf_spawner.workloads.errors import RequestError
from kf_spawner.workloads.parsing import from_json, from_yaml
from tests.fixtures.loop_time import cpu_at_most

JSON = {
    "no JSON": (b"{", "is not JSON"),
    "no text": (b"\xff{}", "is not JSON"),
    "half of a character": (rb'{"program": "\ud800"}', "holds half of a character: '\\ud800'"),
    "half of one in a name": (rb'{"\udfff": 1}', "holds half of a character"),
    "no number": (b'{"replicas": NaN}', "holds the number nan"),
    "a number too large": (b'{"replicas": 1e999}', "holds the number inf"),
}
JSON_TOO_LARGE = {
    "nested without end": (b"[" * 100_000, "nested more than 100 times"),
    "nested too deeply": (b"[" * 150 + b"]" * 150, "nested more than 100 times"),
    "many values": (b"[" + b"1," * 20_000 + b"1]", "more than 20,000 values"),
}
BOMB = "a0: &a0 [x]\n" + "".join(f"a{number + 1}: &a{number + 1} [*a{number}, *a{number}]\n" for number in range(20))
MERGED = "a0: &a0 {k: v}\n" + "".join(
    f"a{number + 1}: &a{number + 1} {{<<: [*a{number}, *a{number}]}}\n" for number in range(20)
)
YAML = {
    "no YAML": ("a: [", "is not valid YAML"),
    "no day": ("a: 2026-13-45", "is not valid YAML: '2026-13-45' is not a date"),
    "a day": ("metadata: {name: 2026-01-02}", "holds a date (2026-01-02): put it in quotes"),
    "bytes": ("a: !!binary aGk=", "holds a bytes"),
    "a set": ("a: !!set {x}", "holds a set"),
    "a name that is a number": ("env: {1: x}", "has the name 1, which is not text"),
    "a name that YAML takes for true": ("on: x", "has the name True"),
    "no number": ("a: .inf", "holds the number inf"),
    "itself": ("a: &a [*a]", "*a stands for what it is a part of"),
    "no whole number": ("a: !!int ''", "is not valid YAML: '' is not a whole number"),
    "no decimal": ("a: !!float ''", "is not valid YAML: '' is not a number"),
    "neither true nor false": ("a: !!bool x", "is not valid YAML: 'x' is not true or false"),
    "no time": ("a: !!timestamp x", "is not valid YAML: 'x' is not a date"),
    "a long number": (f"a: {'1:' * 300_000}1", "a whole number has 600,001 characters and may have 1,000"),
    "a long number as base": (f"a: 0x{'1' * 2000}", "a whole number has 2,002 characters and may have 1,000"),
    "many directives": (f"{''.join(f'%TAG !a{n}! tag:x{chr(10)}' for n in range(40_000))}--- x", "more than 10 YAML"),
}
YAML_TOO_LARGE = {
    "nested without end": ("[" * 900_000, "nested more than 100 times"),
    "nested in lines": ("- " * 400_000, "nested more than 100 times"),
    "many values": ("\n".join(f"k{number}: 1" for number in range(90_000)), "more than 20,000 values"),
    "much from little": (BOMB, "more than 20,000 values"),
    "much from little, merged": (MERGED, "more than 20,000 values"),
}


@pytest.mark.parametrize("name", JSON)
def test_json_that_cannot_be_used(name):
    text, words = JSON[name]
    with pytest.raises(RequestError) as caught:
        from_json(text, field="body")
    assert words in caught.value.message
    assert (caught.value.status, caught.value.field) == (400, "body")
    caught.value.message.encode()


@pytest.mark.parametrize("name", YAML)
def test_yaml_that_cannot_be_used(name):
    text, words = YAML[name]
    with cpu_at_most(0.5), pytest.raises(RequestError) as caught:
        from_yaml(text, field="manifest")
    assert words in caught.value.message
    assert (caught.value.status, caught.value.field) == (400, "manifest")


@pytest.mark.parametrize("name", JSON_TOO_LARGE)
def test_json_beyond_a_limit_is_refused_with_the_limit(name):
    text, words = JSON_TOO_LARGE[name]
    with pytest.raises(RequestError) as caught:
        from_json(text, field="body")
    assert words in caught.value.message
    assert (caught.value.status, caught.value.field) == (422, "body")


@pytest.mark.parametrize("name", YAML_TOO_LARGE)
def test_yaml_beyond_a_limit_is_refused_with_the_limit_and_at_once(name):
    text, words = YAML_TOO_LARGE[name]
    with cpu_at_most(0.5), pytest.raises(RequestError) as caught:
        from_yaml(text, field="manifest")
    assert words in caught.value.message
    assert (caught.value.status, caught.value.field) == (422, "manifest")


def test_what_can_be_used_is_what_was_sent():
    assert from_json(rb'{"a": [1, 2.5, null, true, "\ud83d\ude00"]}', field="body") == {
        "a": [1, 2.5, None, True, "😀"]
    }
    text = "base: &base {cpu: 1}\nworker: *base\n---\n---\nb: x\n"
    assert from_yaml(text, field="manifest") == [{"base": {"cpu": 1}, "worker": {"cpu": 1}}, {"b": "x"}]
