"""One running product for all end-to-end tests; they leave it as they found it."""

import pytest

from . import product as products


@pytest.fixture(scope="session")
def product(tmp_path_factory):
    home = tmp_path_factory.mktemp("e2e") / "home"
    running = products.start(home, env={"KF_USERS": "admin,alice"})
    print(f"\nkf-spawner up: the link after {running.seconds_to_link:.1f} s")
    yield running
    assert running.stop() == 0, "\n".join(running.output[-30:])
    left = products.processes_of(home)
    assert not left, f"left running: {left}"
