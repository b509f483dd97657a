"""What `predict` sends for a user's value and gives for an answer, on this Python and on 3.6 with its libraries."""

import base64
import json
import subprocess
import sys

import numpy as np
import pytest

from kf_spawner.notebook import KfError, values
from tests.notebook.conftest import ROOT, pythons


class Tensor:
    """As TensorFlow's: `numpy()`, but no `tolist()`. A real one is in `tests/e2e/test_endpoint.py`."""

    def __init__(self, array):
        self._array = np.array(array)

    def numpy(self):
        return self._array


def sent(given):
    return json.loads(json.dumps(values.question(given), default=values.jsonable))


B64 = {"b64": base64.b64encode(b"\xff\0").decode()}


@pytest.mark.parametrize(
    ("given", "body"),
    [
        ([[1, 2], [3, 4]], {"inputs": [[1, 2], [3, 4]]}),
        (np.float32([[0.5]]), {"inputs": [[0.5]]}),
        (Tensor([1, 2]), {"inputs": [1, 2]}),
        ([Tensor([1, 2]), np.arange(2)], {"inputs": [[1, 2], [0, 1]]}),
        ({"a": Tensor([1]), "b": [b"\xff\0"]}, {"inputs": {"a": [1], "b": [B64]}}),
        ({"a": []}, {"inputs": {"a": []}}),
        ({}, {"inputs": {}}),
        ([{"a": np.int64(1)}, {"a": 2}], {"instances": [{"a": 1}, {"a": 2}]}),
        ([B64, b"\xff\0"], {"inputs": [B64, B64]}),
        (2.5, {"inputs": 2.5}),
        (np.array(3), {"inputs": 3}),
        (bytearray(b"\xff\0"), {"inputs": B64}),
        ([ROOT], {"inputs": [str(ROOT)]}),
    ],
)
def test_the_form_of_a_value_says_how_it_is_sent(given, body):
    assert sent(given) == body


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "instances: is empty"),
        (np.zeros((0, 28, 28)), r"instances: has the shape \(0, 28, 28\), so it is empty: give at least one row"),
        ({"a": [1], "b": Tensor(np.zeros((2, 0)))}, r"instances\['b'\]: has the shape \(2, 0\)"),
    ],
)
def test_what_is_empty_is_told(given, words):
    with pytest.raises(KfError, match=words):
        values.question(given)


@pytest.mark.parametrize(
    ("given", "document", "wanted"),
    [
        ([1, 2], {"outputs": [3, 4]}, [3, 4]),
        ([1, 2], {"outputs": {"a": [3, 4], "b": [5, 6]}}, [{"a": 3, "b": 5}, {"a": 4, "b": 6}]),
        ([1, 2], {"outputs": {"a": [3, 4], "b": 5}}, {"a": [3, 4], "b": 5}),
        ([1, 2], {"outputs": {"a": [3, 4], "b": [5]}}, {"a": [3, 4], "b": [5]}),
        ([{"a": 1}], {"predictions": [{"x": 1, "y": 2}]}, [{"x": 1, "y": 2}]),
        ({"a": [1]}, {"outputs": {"x": [1], "y": [2]}}, {"x": [1], "y": [2]}),
        ([1], {"outputs": [B64]}, [b"\xff\0"]),
        (1, {"outputs": B64}, b"\xff\0"),
    ],
)
def test_plain_values_are_answered_with_plain_values(given, document, wanted):
    assert values.answer(json.loads(json.dumps(document), object_hook=values.from_json), given) == wanted


@pytest.mark.parametrize("given", [np.arange(2), Tensor([1, 2]), {"a": [1, 2], "b": np.arange(2)}])
def test_arrays_are_answered_with_arrays(given):
    for output in ([1, 2], [1.5, 2.5], [True, False], [["a\0", ""], ["b", "c"]], [b"\0", b"a\0"], [1, 2**64 - 1]):
        array = values.answer({"outputs": output}, given)
        assert isinstance(array, np.ndarray)
        assert array.tolist() == output
    several = values.answer({"outputs": {"x": [1, 2], "y": 0.5}}, given)
    assert {name: array.shape for name, array in several.items()} == {"x": (2,), "y": ()}


PANDAS = """
import json, numpy, pandas
from kf_spawner.notebook import values

def sent(given):
    return json.loads(json.dumps(values.question(given), default=values.jsonable))["inputs"]

frame = pandas.DataFrame({"a": [1.5, 2.5], "b": [3.0, 4.0]})
assert sent(frame) == [[1.5, 3.0], [2.5, 4.0]], sent(frame)
assert sent(frame["a"]) == [1.5, 2.5]
assert sent(dict(frame)) == {"a": [1.5, 2.5], "b": [3.0, 4.0]}
assert isinstance(values.answer({"outputs": [1]}, frame), numpy.ndarray)
assert isinstance(values.answer({"outputs": [1]}, dict(frame)), numpy.ndarray)
"""


def test_frames_and_series_on_python_3_6():
    """Only the image of TensorFlow 1.8 has pandas."""
    others = [python for python in pythons() if python != sys.executable]
    if not others:
        pytest.skip("the image tensorflow-1.8.0-notebook-cpu is not built, so there is no Python with pandas")
    for python in others:
        subprocess.run([python, "-c", PANDAS], cwd=ROOT, check=True, timeout=120)
