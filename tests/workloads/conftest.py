"""Fixtures: a user's namespace on the real API server."""

from tests.extension.conftest import user_namespace, workspace  # noqa: F401
