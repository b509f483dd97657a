"""A pytest plugin: which tests on a cluster run in one process, one after the other, and in which order.

All others run beside each other, in any process. `--dist loadgroup` would do it by marks, but pytest-xdist 3.8 loses
them with pytest 9.
"""

from pathlib import PurePosixPath

import pytest
from xdist.scheduler import LoadScopeScheduling

INSTALLING = ("test_chart.py", "test_walkthrough.py", "test_upgrade.py", "test_up.py", "test_z2jh.py")
"""Test files that install the platform, one per cluster, in the order with the fewest installations."""

GROUPS = {**dict.fromkeys(INSTALLING, "platform"), "test_machine.py": "machine"}


class Scheduling(LoadScopeScheduling):
    """The largest groups first."""

    def _split_scope(self, nodeid: str) -> str:
        return GROUPS.get(PurePosixPath(nodeid.partition("::")[0]).name, nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: INSTALLING.index(item.path.name) if item.path.name in INSTALLING else -1)
