"""Fixtures: a user's namespace on the real API server."""

from tests.fixtures.workspace import user_namespace, workspace  # noqa: F401
