"""One running product for all training runs; its image builds are shared with every other run on this machine."""

import json
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from kf_spawner.kube import Client, load_config
from kf_spawner.kube.resources import NAMESPACES, NODES, SERVICEACCOUNTS
from kf_spawner.spawner import manifests
from tests.e2e import product as products
from tests.e2e.kubectl import Kubectl

from .jobs import Jobs, eventually


@pytest.fixture(scope="package")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[products.Product]:
    home = tmp_path_factory.mktemp("training") / "home"
    running = products.start(home)
    yield running
    assert running.stop() == 0, "\n".join(running.output[-30:])
    left = products.processes_of(home)
    assert not left, f"left running: {left}"


@pytest.fixture(scope="package")
def kubectl(product: products.Product) -> Kubectl:
    return Kubectl(products.kubectl_binary(), product.kubeconfig)


@pytest.fixture
async def client(product: products.Product) -> AsyncIterator[Client]:
    async with Client(load_config(product.kubeconfig), user_agent="test") as client:
        yield client


@pytest.fixture
async def jobs(product: products.Product, client: Client) -> AsyncIterator[Jobs]:
    """A namespace with a home volume, as a user has it."""
    name = f"kf-{uuid.uuid4().hex[:8]}"
    await client.create(NAMESPACES, manifests.namespace(name, user=name, labels={}, annotations={}))
    await eventually(lambda: client.get(SERVICEACCOUNTS, "default", name), "the namespace has an account")
    jobs = Jobs(client, name, product.home)
    await jobs.make_home()
    yield jobs
    await jobs.close()
    await client.delete(NAMESPACES, name)


@pytest.fixture
async def old_tensorflow(client: Client) -> str:
    """The image of TensorFlow 1.8, where this machine can build it."""
    image = "tensorflow-1.8.0-notebook-cpu"
    (node,) = (await client.list(NODES))["items"]
    unavailable = json.loads(
        (node["metadata"].get("annotations") or {}).get("images.kf-spawner.io/unavailable", "{}")
    )
    if image in unavailable:
        pytest.skip(f"{image} cannot run on this machine: {unavailable[image]}")
    return image
