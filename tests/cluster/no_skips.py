"""A pytest plugin for the cluster of `make cluster`, where everything can run: a skipped test is a failed one.

Elsewhere a test skips what that cluster lacks. Here a skip means that it is broken, or no longer recognised.
"""

from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} can run on the cluster of 'make cluster', and did not: {reason}"
    return report
