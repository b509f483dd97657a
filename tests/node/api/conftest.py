"""What the tests of the node's server share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.fake_containers import FakeContainers


@pytest.fixture
def containers(tmp_path: Path) -> Iterator[FakeContainers]:
    with FakeContainers(tmp_path) as made:
        yield made
