"""Fixtures that every room's tests share."""

import os

from hypothesis import HealthCheck, settings

# What needs a real cluster: see docs/testing.md.
collect_ignore = [] if os.environ.get("CLUSTER") else ["on_cluster"]
pytest_plugins = ["tests.fixtures.control_plane", "tests.fixtures.distribution"]

# The same examples each time, however slow the machine is: what fails, fails for a change of the code.
settings.register_profile(
    "steady", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")
