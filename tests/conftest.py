"""Fixtures that every room's tests share."""

pytest_plugins = ["tests.fixtures.control_plane"]

LONGEST = ("tests/training/", "tests/operator/test_sequences.py", "tests/e2e/test_browser.py")


def pytest_collection_modifyitems(items):
    """The longest files first: begun last, one would run alone in the end while the other processes have nothing."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
