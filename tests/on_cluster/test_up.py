"""`kf-spawner up --kubeconfig FILE` on a real cluster's own node: the hub is a process there, a server a container.

Needs the images of notebook and model server on the nodes (`make images`, then `python -m tests.cluster load …`).
"""

import socket
from collections.abc import Iterator

import pytest

from kf_spawner.cli.bootstrap import PLATFORM
from tests.cluster.layout import FIRST_ADDRESS
from tests.e2e import product as products
from tests.e2e.client import HubClient
from tests.e2e.test_http_journey import JOURNEYS, run_notebook

from .conftest import Kubectl
from .platform import refuse_taken, remove_users

pytestmark = pytest.mark.timeout(900)

PASSWORD = "not to be guessed"


@pytest.fixture
def address() -> str:
    """An address of this machine that pods reach: `make test-cluster` runs tests in the first node's network."""
    with socket.socket() as probe:
        try:
            probe.bind((FIRST_ADDRESS, 0))
        except OSError:
            pytest.skip("this machine is not a node of the cluster: its pods may not reach a hub here")
    return FIRST_ADDRESS


@pytest.fixture
def product(occupant, address: str, kubeconfig, kubectl: Kubectl, tmp_path) -> Iterator[products.Product]:
    occupant.leave()
    refuse_taken(kubectl)
    secret = tmp_path / "password"
    secret.touch(mode=0o600)
    secret.write_text(PASSWORD)
    home = tmp_path / "home"
    running = products.start(home, f"--kubeconfig={kubeconfig}", f"--host={address}", f"--password-file={secret}")
    try:
        yield running
    finally:
        remove_users(kubectl)
        stopped = running.stop()
        kubectl("delete", "--filename", str(PLATFORM), "--ignore-not-found")
    assert stopped == 0
    assert not products.left_of(home)


async def test_every_cell_of_the_notebook(product, kubectl: Kubectl):
    image, notebook, words = JOURNEYS[0]
    async with HubClient(product.hub, password=PASSWORD) as client:
        await client.make_token()
        await client.spawn({"image": image})
        shown = await run_notebook(client, f"examples/{notebook}")
        for word in words:
            assert word in shown
        jobs = kubectl("--namespace=kf-admin", "get", "tfjobs", "--no-headers").stdout
        assert jobs.split()[:2] == ["digits", "Succeeded"]
