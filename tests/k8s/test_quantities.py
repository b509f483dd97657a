"""Quantities: which texts are one, what each is worth, sums and words. The table's facts are the API server's."""

import json
import re
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kf_spawner.k8s import quantities
from tests.fixtures.loop_time import cpu_at_most
from tests.k8s.quantity_table import TABLE

ROOT = Path(__file__).resolve().parents[2]


def test_the_table_is_long_enough():
    assert len({text for text, _ in TABLE}) == len(TABLE) >= 60


@pytest.mark.parametrize(("text", "number"), TABLE, ids=lambda value: repr(value)[:20])
def test_a_text_is_what_the_api_server_takes_it_for(text, number):
    assert quantities.is_quantity(text) == (number is not None)
    if number is None:
        with pytest.raises(ValueError, match="is not a quantity"):
            quantities.parse(text)
    else:
        assert quantities.parse(text) == Fraction(number)


@pytest.mark.parametrize(("value", "number"), [(1, 1), (-3, -3), (1.5, "1.5"), (1e22, 10**22), (1e-7, "1e-7")])
def test_json_numbers_are_quantities(value, number):
    assert quantities.parse(value) == Fraction(number)


@pytest.mark.parametrize("value", [True, None, [], {}, float("nan"), float("inf"), b"1"])
def test_other_values_are_none(value):
    assert not quantities.is_quantity(value)
    with pytest.raises(ValueError, match="is not a quantity"):
        quantities.parse(value)


def test_an_exponent_that_would_keep_a_server_busy_for_minutes_is_refused():
    assert quantities.is_quantity("1e999")
    assert not quantities.is_quantity("1e1000")
    assert not quantities.is_quantity("1e-999999999")


def test_a_number_may_have_many_digits_but_not_any_number_of_them():
    assert quantities.parse("9" * 1000) == quantities.parse(10**1000 - 1) == 10**1000 - 1
    assert not quantities.is_quantity("9" * 1001)
    assert not quantities.is_quantity(10**5000)


@pytest.mark.parametrize("text", ["1" * 5000 + "x", "1" * 5000 + ".x", " " * 5000 + "x", "1e" + "0" * 5000 + "x"])
def test_the_pattern_takes_time_in_proportion_to_a_text(text):
    with cpu_at_most(0.1):
        assert not re.fullmatch(quantities.PATTERN, text)


@given(st.text(alphabet="0123456789.+-eEinumkKMGTP ", max_size=12))
def test_what_matches_the_pattern_has_a_value(text):
    if quantities.is_quantity(text):
        assert quantities.parse(text) == quantities.parse(text.strip(" "))


def test_an_amount_is_not_below_zero():
    assert quantities.is_amount("0")
    assert quantities.is_amount("1Gi")
    assert not quantities.is_amount("-1")
    assert not quantities.is_amount("lots")


def test_the_crd_has_this_pattern():
    crd = yaml.safe_load((ROOT / "kf_spawner" / "manifests" / "tfjobs-crd.yaml").read_text())
    assert set(_patterns(crd, "minResources")) == {quantities.PATTERN}


def test_the_charts_schema_has_this_pattern():
    schema = json.loads((ROOT / "helm" / "kf-spawner" / "values.schema.json").read_text())
    assert schema["definitions"]["quantity"]["pattern"] == quantities.PATTERN
    assert schema["definitions"]["amount"]["pattern"] == quantities.PATTERN


def _patterns(node, name):
    """The patterns of the values of each map called `name`."""
    if isinstance(node, dict):
        for key, child in node.items():
            if key == name:
                yield child["additionalProperties"]["pattern"]
            else:
                yield from _patterns(child, name)
    elif isinstance(node, list):
        for child in node:
            yield from _patterns(child, name)


@pytest.mark.parametrize(("terms", "text"), [
    ([], "0"),
    ([("500m", 3)], "1500m"),
    ([("500m", 2), (1, 1)], "2"),
    ([("1Gi", 1), ("512Mi", 2)], "2Gi"),
    ([("1Gi", 1), ("1k", 1)], "1073742824"),
    ([("1e3", 2), ("0.5", 1)], "2000500m"),
    ([("100u", 1)], "100u"),
    ([("1n", 3)], "3n"),
    ([("lots", 1)], ""),
])  # fmt: skip
def test_sums(terms, text):
    assert quantities.total(terms) == text


def test_quantities_are_compared_by_value():
    assert quantities.is_same("1Gi", "1073741824")
    assert quantities.is_same(2, "2000m")
    assert not quantities.is_same("1", "1Gi")
    assert not quantities.is_same("1", "lots")


def test_amounts_in_words():
    assert quantities.size(1536 * 1024**2) == "1.5Gi"
    assert quantities.size(8 * 1024**3) == "8Gi"
    assert quantities.size(Fraction(100)) == "100"
    assert quantities.cores(Fraction(1, 4)) == "250m"
    assert quantities.cores(Fraction(20)) == "20"
