"""Which test stands for which issue of the original operator: `@upstream("#2072")`."""

from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

Test = TypeVar("Test", bound=Callable)


def upstream(*issues: str) -> Callable[[Test], Test]:
    def mark(test: Test) -> Test:
        test.upstream_issues = issues  # type: ignore[attr-defined]
        return test

    return mark


def issues_of(module: ModuleType) -> set[str]:
    """All issues that the tests of `module` stand for."""
    return {issue for test in vars(module).values() for issue in getattr(test, "upstream_issues", ())}
