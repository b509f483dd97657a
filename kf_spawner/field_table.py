"""A table of input fields and manifest paths; it translates a manifest's errors back to fields. Pure.

Paths are written as the Kubernetes API writes them: `spec.containers[0].resources.limits[nvidia.com/gpu]`. In a row,
`{name}` stands for one step, in the field and in the path; `.*` at the end of both keeps the rest: `("run_policy.*",
"spec.runPolicy.*")`.
"""

import re
from collections.abc import Iterable

from .wrong_input import FieldError

_STEP = re.compile(r"\\\{(\w+)\\\}")


class FieldTable:
    """Rows of (field, path), in the order of the input. A field may have several paths; an empty path is none."""

    def __init__(self, rows: Iterable[tuple[str, str]] = ()):
        self.rows = tuple(rows)
        self._by_path = _longest_first((path, field) for field, path in self.rows if path)
        self._by_field = _longest_first((field, str(number)) for number, (field, _) in enumerate(self.rows))

    def field_of(self, path: str) -> str:
        """The field that `path`, or the part of the manifest around it, was made from; or `path` itself."""
        for pattern, field in self._by_path:
            if found := pattern.fullmatch(path):
                steps = found.groupdict()
                rest = steps.pop("rest")
                return field.removesuffix(".*").format(**steps) + (rest if field.endswith(".*") else "")
        return path

    def translate(self, errors: Iterable[FieldError]) -> list[FieldError]:
        """The errors with fields in place of paths, each once."""
        return list(dict.fromkeys(FieldError(self.field_of(path), message) for path, message in errors))

    def in_order(self, errors: Iterable[FieldError]) -> tuple[FieldError, ...]:
        """The errors in the order of the input; unknown fields first."""
        return tuple(sorted(errors, key=lambda error: self._number(error.field)))

    def _number(self, field: str) -> int:
        return next((int(number) for pattern, number in self._by_field if pattern.fullmatch(field)), -1)


def _longest_first(rows: Iterable[tuple[str, str]]) -> list[tuple[re.Pattern[str], str]]:
    """Patterns that match a path and all below it. The longest explains best: the image rather than its container."""
    ordered = sorted(rows, key=lambda row: len(row[0].removesuffix(".*")), reverse=True)
    return [(_pattern(path), meaning) for path, meaning in ordered]


def _pattern(path: str) -> re.Pattern[str]:
    steps = _STEP.sub(r"(?P<\1>[^.\\[\\]]+)", re.escape(path.removesuffix(".*")))
    return re.compile(rf"{steps}(?P<rest>(?:[.\[].*)?)", re.DOTALL)
