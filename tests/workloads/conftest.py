"""The user's namespace of the extension's tests."""

from tests.extension.conftest import grounds, world  # noqa: F401
