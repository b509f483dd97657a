"""What callers send is what JSON can say, before anything looks at what it means."""

import pytest

from kf_spawner.workloads.errors import RequestError
from kf_spawner.workloads.parsing import from_json, from_yaml

JSON = {
    "no JSON": (b"{", "is not JSON"),
    "no text": (b"\xff{}", "is not JSON"),
    "half of a character": (rb'{"program": "\ud800"}', "holds half of a character: '\\ud800'"),
    "half of one in a name": (rb'{"\udfff": 1}', "holds half of a character"),
    "no number": (b'{"replicas": NaN}', "holds the number nan"),
    "a number too large": (b'{"replicas": 1e999}', "holds the number inf"),
    "nested without end": (b"[" * 100_000, "recursion"),
    "nested too deeply": (b"[" * 150 + b"]" * 150, "nested more than 100 times"),
}
BOMB = "a0: &a0 [x]\n" + "".join(f"a{number + 1}: &a{number + 1} [*a{number}, *a{number}]\n" for number in range(20))
YAML = {
    "no YAML": ("a: [", "is not valid YAML"),
    "no day": ("a: 2026-13-45", "is not valid YAML: month must be"),
    "a day": ("metadata: {name: 2026-01-02}", "holds a date (2026-01-02): put it in quotes"),
    "bytes": ("a: !!binary aGk=", "holds a bytes"),
    "a set": ("a: !!set {x}", "holds a set"),
    "a name that is a number": ("env: {1: x}", "has the name 1, which is not text"),
    "a name that YAML takes for true": ("on: x", "has the name True"),
    "no number": ("a: .inf", "holds the number inf"),
    "nested without end": ("[" * 20_000, "recursion"),
    "itself": ("a: &a [*a]", "nested more than"),
    "much from little": (BOMB, "more than 200000 values"),
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
    with pytest.raises(RequestError) as caught:
        from_yaml(text, field="manifest")
    assert words in caught.value.message
    assert (caught.value.status, caught.value.field) == (400, "manifest")


def test_what_can_be_used_is_what_was_sent():
    assert from_json(rb'{"a": [1, 2.5, null, true, "\ud83d\ude00"]}', field="body") == {
        "a": [1, 2.5, None, True, "😀"]
    }
    text = "base: &base {cpu: 1}\nworker: *base\n---\n---\nb: x\n"
    assert from_yaml(text, field="manifest") == [{"base": {"cpu": 1}, "worker": {"cpu": 1}}, {"b": "x"}]
