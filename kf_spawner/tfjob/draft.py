"""A TFJob that a user asks for, and what is wrong with it, in the user's own fields. Pure.

Program options, the dashboard's form and manifests all become a `Draft`. Its job is as complete as the input allows:
wrong parts are left out, so that whatever checks the job later finds the other problems in the same run.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from kf_spawner.field_table import FieldTable
from kf_spawner.wrong_input import MOST, FieldError, WrongInput, with_all_around

from .validation import validate


@dataclass(frozen=True)
class Draft:
    """`fields` tells which field of the input each path of `job` and `config_map` was made from.

    `errors` are the problems found so far, in the order of the input.
    """

    job: dict[str, Any]
    config_map: dict[str, Any] | None = None
    fields: FieldTable = field(default_factory=FieldTable)
    errors: tuple[FieldError, ...] = ()

    def add(self, found: Iterable[FieldError]) -> "Draft":
        """With further problems, whose fields are paths of the manifest. No field gets a second problem."""
        known = {error.field for error in self.errors}
        new = [error for error in self.fields.translate(islice(found, MOST)) if error.field not in known]
        return replace(self, errors=self.fields.in_order([*self.errors, *new]))

    def require_valid(self) -> "Draft":
        """Itself. Raises WrongInput if there is any problem."""
        if self.errors:
            raise WrongInput(self.errors)
        return self


def checked(
    job: dict[str, Any],
    *,
    config_map: dict[str, Any] | None = None,
    fields: FieldTable | None = None,
    errors: Iterable[FieldError] = (),
) -> Draft:
    """The draft of a job with what `validate` finds beside `errors`, the problems that are known already.

    What is missing only because a wrong part was left out is not reported.
    """
    known = tuple(errors)
    draft = Draft(job, config_map, fields or FieldTable(), known)
    incomplete = with_all_around(error.field for error in known)
    return draft.add(error for error in validate(job) if draft.fields.field_of(error.field) not in incomplete)
