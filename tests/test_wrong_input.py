"""Errors of a user's input, and the table that finds the field a manifest's path was made from."""

import pytest

from kf_spawner.field_table import FieldTable
from kf_spawner.wrong_input import FieldError, WrongInput, not_an_amount

TABLE = FieldTable([
    ("name", "metadata.name"),
    ("image", "spec.{kind}.containers[0].image"),
    ("memory", "spec.{kind}.containers[0].resources.requests[memory]"),
    ("gpu", "spec.{kind}.containers[0].resources.limits[nvidia.com/gpu]"),
    ("env[{number}]", "spec.{kind}.containers[0].env[{number}]"),
    ("worker", "spec.Worker"),
    ("policy.*", "spec.policy.*"),
    ("local", ""),
])  # fmt: skip


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("metadata.name", "name"),
        ("metadata.names", "metadata.names"),
        ("spec.Worker.containers[0].image", "image"),
        ("spec.PS.containers[0].image.tag", "image"),
        ("spec.Worker.containers[1].image", "worker"),
        ("spec.Worker", "worker"),
        ("spec.Workers", "spec.Workers"),
        ("spec.PS.containers[0].resources.requests[memory]", "memory"),
        ("spec.PS.containers[0].resources.limits[nvidia.com/gpu]", "gpu"),
        ("spec.PS.containers[0].env[12].name", "env[12]"),
        ("spec.policy", "policy"),
        ("spec.policy.clean.after[0]", "policy.clean.after[0]"),
        ("spec.policyX", "spec.policyX"),
        ("", ""),
    ],
)
def test_the_longest_row_that_fits_names_the_field(path, field):
    assert TABLE.field_of(path) == field


def test_errors_are_put_in_the_order_of_the_rows():
    fields = ["policy.x", "local", "env[3].name", "unknown", "name", "image"]
    ordered = TABLE.in_order([FieldError(field, "is wrong") for field in fields])
    assert [error.field for error in ordered] == ["unknown", "name", "image", "env[3].name", "policy.x", "local"]


def test_translated_errors_come_once():
    found = [FieldError(f"spec.{kind}.containers[0].image", "is missing") for kind in ("PS", "Worker")]
    assert TABLE.translate(found) == [FieldError("image", "is missing")]


def test_wrong_input_tells_every_problem_once_and_in_order():
    errors = [
        FieldError("name", "is missing"),
        FieldError("", "no image can run here"),
        FieldError("name", "is missing"),
    ]
    error = WrongInput(errors)
    assert error.errors == tuple(errors[:2])
    assert str(error) == "name: is missing; no image can run here"


def test_a_wrong_amount_is_shown_short_and_with_examples():
    assert not_an_amount("much", "500m or 2") == "'much' is not an amount; write one such as 500m or 2"
    assert not_an_amount("9" * 99, "1Gi") == f"'{'9' * 56}... is not an amount; write one such as 1Gi"
