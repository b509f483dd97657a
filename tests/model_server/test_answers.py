"""The JSON of answers: each number as short as its own type writes it, however it is written fast."""

import math

import numpy as np
import pytest

from kf_spawner.model_server.answers import to_json


@pytest.mark.parametrize(
    ("array", "written"),
    [
        (np.array([0.2, 1e10, 9e6, 1e-7], np.float32), "[0.2,10000000000.0,9000000.0,1e-7]"),
        (np.array([0.1, 2], np.float16), "[0.1,2.0]"),
        (np.array([1 / 3, 1e300]), "[0.3333333333333333,1e+300]"),
        (np.array([[True], [False]]), "[[true],[false]]"),
        (np.array([2**64 - 1], np.uint64), "[18446744073709551615]"),
        (np.array([-128, 127], np.int8), "[-128,127]"),
        (np.array(0.2, np.float32), "0.2"),
        (np.array(True), "true"),
        (np.zeros((2, 0)), "[[],[]]"),
        (np.arange(6).reshape(2, 3).T[::2], "[[0,3],[2,5]]"),
        (np.array([math.nan, 0.2, -math.inf], np.float32), "[NaN,0.2,-Infinity]"),
        (np.array(["ä".encode()], object), '["\\u00e4"]'),
    ],
    ids=str,
)
def test_one_output_in_columns(array: np.ndarray, written: str) -> None:
    assert to_json({"x": array}, "inputs").decode().replace(" ", "") == f'{{"outputs":{written}}}'


def test_several_outputs_in_rows() -> None:
    small, words = np.array([0.1, 0.2], np.float32), np.array([b"a", b"b"], object)
    written = to_json({"b": np.array([[1], [2]]), "a": small}, "instances")
    assert written == b'{"predictions":[{"a":0.1,"b":[1]},{"a":0.2,"b":[2]}]}'
    written = to_json({"b": words, "a": small}, "instances").replace(b" ", b"")
    assert written == b'{"predictions":[{"a":0.1,"b":"a"},{"a":0.2,"b":"b"}]}'
