"""The error for a user's wrong input: every wrong field, what is wrong and what to do. Pure; knows no room.

Each room that reads options, a form or a manifest collects `FieldError`s and raises all of them as one `WrongInput`.
"""

from collections.abc import Iterable
from typing import NamedTuple


class FieldError(NamedTuple):
    """`field` is a path such as `spec.tfReplicaSpecs.Worker.replicas`, empty where no single field is wrong.

    `message` continues after the field's name: "is missing; give the job a name".
    """

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class WrongInput(ValueError):
    """The input cannot be used. `errors` has every problem once, in the order of the input; there is at least one."""

    def __init__(self, errors: Iterable[FieldError]):
        self.errors = tuple(dict.fromkeys(errors))
        assert self.errors
        super().__init__("; ".join(map(str, self.errors)))


def shown(value: object) -> str:
    """A wrong value as Python writes it, at most 60 characters of it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def not_an_amount(value: object, examples: str) -> str:
    """The message for a value that is not a Kubernetes quantity, or is below zero; `examples` such as "500m or 2"."""
    return f"{shown(value)} is not an amount; write one such as {examples}"
