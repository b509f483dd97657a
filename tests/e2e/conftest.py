"""One running product for all end-to-end tests; they leave it as they found it."""

import json

import pytest

from . import product as products
from .kubectl import Kubectl


@pytest.fixture(scope="package")
def product(tmp_path_factory):
    folder = tmp_path_factory.mktemp("e2e")
    home, unused = folder / "home", folder / "kubeconfig"
    unused.write_text("this is no kubeconfig")
    running = products.start(home, env={"KF_USERS": "admin,alice", "KUBECONFIG": str(unused)})
    print(f"\nkf-spawner up: the link after {running.seconds_to_link:.1f} s")
    yield running
    assert running.stop() == 0, "\n".join(running.output[-30:])
    left = products.left_of(home)
    assert not left, f"left running: {left}"


@pytest.fixture(scope="package")
def kubectl(product):
    return Kubectl(products.kubectl_binary(), product.kubeconfig)


@pytest.fixture(scope="package")
def unavailable_images(kubectl):
    """Image name to the reason why this machine's node cannot run it."""
    node = json.loads(kubectl("get", "nodes", "-o", "json"))["items"][0]
    return json.loads(node["metadata"].get("annotations", {}).get("images.kf-spawner.io/unavailable", "{}"))
