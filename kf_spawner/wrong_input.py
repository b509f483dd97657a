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
