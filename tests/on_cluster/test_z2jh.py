"""A zero-to-jupyterhub values file of more than 40 keys on a real cluster: all of it comes up, and its users work.

The file is taken as it is; HERE lays over it what a cluster of one node and without a registry lacks.
"""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import yaml

from kf_spawner import __version__
from tests.e2e.client import HubClient
from tests.fixtures.helm import Z2JH, leaves

from .conftest import Kubectl
from .platform import Platform, installed

HERE = {
    # No registry to pull from.
    "hub": {"image": {"pullPolicy": "IfNotPresent"}},
    "singleuser": {
        "image": {
            "name": "kf-spawner/tensorflow-2.21.0-notebook-cpu",
            "tag": __version__,
            "pullPolicy": "IfNotPresent",
        },
        "initContainers": [{"name": "prepare", "image": f"kf-spawner/hub:{__version__}", "command": ["true"]}],
        # One node, which is of one pool.
        "nodeSelector": {"pool": "core"},
    },
    # The tests are the load balancer.
    "proxy": {"traefik": {"trustedProxies": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]}},
    "prePuller": {"extraImages": {"side": {"name": "kf-spawner/hub", "tag": __version__}}},
}
LABELS = {"pool": "core", "hub.jupyter.org/node-purpose": "core"}
CLASS = "fast"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
RUNTIMES_OWN = 64 * 2**20
"""Bytes of /dev/shm where nothing is mounted there."""

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def address(kubectl: Kubectl) -> Iterator[str]:
    """That of a node with the labels that the file looks for."""
    node = json.loads(kubectl("get", "nodes", "-o", "json").stdout)["items"][0]
    name, there = node["metadata"]["name"], node["metadata"]["labels"]
    lacking = {key: value for key, value in LABELS.items() if there.get(key) != value}
    # One that has another value is refused.
    assert kubectl("label", "node", name, *(f"{key}={value}" for key, value in lacking.items())).returncode == 0
    yield next(each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP")
    kubectl("label", "node", name, *(f"{key}-" for key in lacking))


@pytest.fixture(scope="module")
def storage_class(kubectl: Kubectl, tmp_path_factory) -> Iterator[None]:
    """The default one once more, under the name that the file asks for."""
    classes = json.loads(kubectl("get", "storageclasses", "-o", "json").stdout)["items"]
    (default,) = [each for each in classes if each["metadata"].get("annotations", {}).get(DEFAULT_CLASS) == "true"]
    file: Path = tmp_path_factory.mktemp("class") / "class.json"
    file.write_text(json.dumps({**default, "metadata": {"name": CLASS}}))
    assert kubectl("create", "-f", str(file)).returncode == 0
    yield
    kubectl("delete", "storageclass", CLASS)


@pytest.fixture(scope="module")
def platform(
    occupant, helm_program, kubeconfig, kubectl, address, storage_class, tmp_path_factory
) -> Iterator[Platform]:
    arguments = ("--values", str(Z2JH))
    folder = tmp_path_factory.mktemp("z2jh")
    platform = occupant.be(
        "z2jh", lambda: installed(helm_program, kubeconfig, kubectl, folder, *arguments, values=HERE)
    )
    platform.until_up("daemonset/continuous-image-puller")
    yield platform
    occupant.leave()


@pytest.fixture
async def grace(platform, address) -> AsyncIterator[HubClient]:
    """One of the file's users, who comes in by the port of the nodes that it names."""
    async with HubClient(f"http://{address}:30080", user="grace", password=platform.password) as client:
        yield client


def test_40_keys_are_taken_as_they_are():
    assert len(leaves(yaml.safe_load(Z2JH.read_text())) - leaves(HERE)) >= 40


async def test_the_hub_is_as_the_file_says(platform, grace):
    assert (await grace.login()).status == 302
    async with grace.session.get(f"{grace.url}/hub/home") as page:
        assert "Maintenance on Friday" in await page.text()
    async with HubClient(grace.url) as prometheus, prometheus.session.get(f"{grace.url}/hub/metrics") as metrics:
        assert metrics.status == 200
    assert platform.kubectl("exec", "deployment/hub", "--", "printenv", "TZ").strip() == "Europe/Vienna"
    claim = json.loads(platform.kubectl("get", "persistentvolumeclaim", "hub-db", "-o", "json"))
    assert (claim["spec"]["storageClassName"], claim["status"]["phase"]) == (CLASS, "Bound")


async def test_a_login_by_a_load_balancer_that_has_the_certificate(platform, address):
    """Its cookies never go over plain HTTP."""
    offloaded = {"Host": "hub.example.com", "X-Forwarded-Proto": "https"}
    url = f"http://{address}:30080"
    async with HubClient(url, user="grace", password=platform.password, further=offloaded) as client:
        answer = await client.login()
        assert answer.status == 302
        assert answer.cookies["jupyterhub-hub-login"]["secure"]


async def test_a_user_of_the_file_works(platform, grace):
    await grace.make_token()
    await grace.spawn({})
    pod = json.loads(platform.kubectl("get", "pod", "jupyter-grace", "-o", "json", namespace="kf-grace"))
    assert pod["spec"]["containers"][0]["image"] == f"{HERE['singleuser']['image']['name']}:{__version__}"
    assert pod["spec"]["terminationGracePeriodSeconds"] == 5
    assert pod["spec"]["priorityClassName"] == "kf-default-priority"
    assert pod["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "250m", "memory": "2G"}
    assert pod["metadata"]["labels"]["team"] == "vision"
    assert pod["metadata"]["annotations"]["example.com/owner"] == "grace"
    (prepared,) = pod["status"]["initContainerStatuses"]
    assert (prepared["name"], prepared["state"]["terminated"]["exitCode"]) == ("prepare", 0)
    claim = json.loads(
        platform.kubectl("get", "persistentvolumeclaim", "claim-grace", "-o", "json", namespace="kf-grace")
    )
    assert (claim["spec"]["accessModes"], claim["metadata"]["labels"]["backup"]) == (["ReadWriteMany"], "nightly")
    async with grace.kernel() as kernel:
        assert "de_AT.UTF-8" in await kernel.run("import os; print(os.environ['LANG'])")
        # The file's further volume: memory of the pod, where the runtime's own would be too small for a data loader.
        assert "shm" in {volume["name"] for volume in pod["spec"]["volumes"]}
        size = await kernel.run("shm = os.statvfs('/dev/shm'); print(shm.f_frsize * shm.f_blocks)")
        assert int(size) > RUNTIMES_OWN
        await kernel.run("open('/dev/shm/batch', 'wb').write(b'x' * 2**20)")
    url = f"{grace.url}/user/grace/"
    async with grace.session.get(url, headers=grace.headers, allow_redirects=False) as page:
        assert page.headers["Location"].split("?")[0].endswith("/user/grace/tree")
    await grace.stop_server()
