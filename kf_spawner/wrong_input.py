"""The error for a user's wrong input: every wrong field, what is wrong and what to do. Pure; knows no room.

Each room that reads options, a form or a manifest collects `FieldError`s and raises all of them as one `WrongInput`.
"""

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

MOST = 100
"""How many problems are told at one time: who repairs those sends the input again."""


class FieldError(NamedTuple):
    """`field` is a path such as `spec.tfReplicaSpecs.Worker.replicas`, empty where no single field is wrong.

    `message` continues after the field's name: "is missing; give the job a name".
    """

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class WrongInput(ValueError):
    """The input cannot be used.

    `errors` has every problem once, in the order of the input; at least one, at most MOST.
    """

    def __init__(self, errors: Iterable[FieldError]):
        self.errors = tuple(islice(dict.fromkeys(errors), MOST))
        assert self.errors
        super().__init__("; ".join(map(str, self.errors)))


def with_all_around(fields: Iterable[str]) -> set[str]:
    """The fields, and what each is a part of: `a.b[0]`, `a.b` and `a` for `a.b[0]`."""
    return {
        field[:end] for field in fields for end in (*(i for i, sign in enumerate(field) if sign in ".["), len(field))
    }


def shown(value: object) -> str:
    """A wrong value as Python writes it, at most 60 characters of it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def not_an_amount(value: object, examples: str) -> str:
    """The message for a value that is not a Kubernetes quantity, or is below zero; `examples` such as "500m or 2"."""
    return f"{shown(value)} is not an amount; write one such as {examples}"
