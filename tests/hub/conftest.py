"""One hub, one control plane and one node moved by hand for all the hub's tests; each test has a user of its own."""

import asyncio
import base64
import contextlib
import itertools
import json
from pathlib import Path

import pytest
import pytest_asyncio

from kf_spawner.k8s.resources import Resource
from kf_spawner.kube import Client, Forbidden, NotFound, load_config
from kf_spawner.kube.resources import CLAIMS, NAMESPACES, PODS, SECRETS
from tests.fixtures.control_plane import running
from tests.fixtures.hub import Browser, ProductHub
from tests.fixtures.hub_node import HandNode

MANIFESTS = Path(__file__).parents[2] / "kf_spawner" / "manifests"
UNAVAILABLE = json.dumps({"tensorflow-1.8.0-notebook-cpu": "there is no Python 3.6 on this machine"})
USERS = ["admin", *(f"user{number}" for number in range(40))]
POLICY = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}]}
"""The chart's is like it, only longer."""
IMPATIENT = (
    "--KubeflowSpawner.room_patience=2",
    "--KubeflowSpawner.image_patience=1",
    "--JupyterHub.last_activity_interval=1",
)
"""What is otherwise as it is for users, but makes tests wait."""

CPU_IMAGE = "tensorflow-2.21.0-notebook-cpu"
_numbers = itertools.count()


@pytest.fixture(scope="package")
def control_plane(control_plane_binaries):
    """One of the hub tests' own: their node would take other tests' pods and volumes, and theirs the hub's."""
    with running(control_plane_binaries) as plane:
        yield plane


@pytest.fixture(scope="package")
def hub_roles(control_plane):
    """The hub's identity may do what its manifests say, and nothing else."""
    for name in (
        "rbac-hub.yaml",
        "rbac-notebook.yaml",
        "policy-hub.yaml",
        "policy-claims.yaml",
        "policy-pods.yaml",
        "policy-users.yaml",
    ):
        done = control_plane.kubectl("apply", "-f", str(MANIFESTS / name))
        assert done.returncode == 0, done.stderr
    done = control_plane.kubectl(
        "create", "clusterrolebinding", "kf-hub-test", "--clusterrole=kf-spawner-hub", "--user=kf-spawner:hub"
    )
    assert done.returncode == 0, done.stderr


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def cluster(control_plane, hub_roles):
    """An administrator's client."""
    async with Client(load_config(control_plane.admin_kubeconfig), user_agent="test") as client:
        yield client


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def one_node(cluster):
    async with HandNode(cluster, unavailable=UNAVAILABLE) as node:
        yield node


@pytest_asyncio.fixture(loop_scope="session")
async def node(one_node):
    """The node, in a good mood, and taken for a living one: its heart does not beat while other files' tests run."""
    one_node.behaviour, one_node.lost = "run", False
    await one_node.beat()
    await until(one_node.takes_pods)
    return one_node


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def hub(control_plane, hub_roles, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    policy = f"--KubeflowSpawner.network_policy={json.dumps(POLICY)}"
    async with ProductHub(folder, control_plane, *IMPATIENT, policy, KF_USERS=",".join(USERS)) as running:
        yield running


@pytest.fixture
def user():
    """A name that no other test uses."""
    return f"user{next(_numbers)}"


@pytest_asyncio.fixture(loop_scope="session")
async def browser(hub, user):
    """The user's session, logged in; their server is stopped in the end."""
    async with Browser(hub.url) as session:
        status, page = await session.login(user)
        assert status == 200, page
        yield session
        await stopped(session, user)


@pytest.fixture
def resources(cluster, user):
    return UserResources(cluster, user)


class UserResources:
    """A user's objects in Kubernetes."""

    def __init__(self, client: Client, user: str):
        self.client = client
        self.namespace = f"kf-{user}"
        self.pod_name = f"jupyter-{user}"
        self.claim_name = f"claim-{user}"

    async def pod(self) -> dict | None:
        with contextlib.suppress(NotFound):
            return await self.client.get(PODS, self.pod_name, self.namespace)
        return None

    async def gone(self) -> bool:
        return await self.pod() is None

    async def secret(self) -> dict:
        """The Secret that the pod's environment takes values from."""
        sources = [entry.get("valueFrom") or {} for entry in (await self.pod())["spec"]["containers"][0]["env"]]
        (name,) = {source["secretKeyRef"]["name"] for source in sources if "secretKeyRef" in source}
        return await self.client.get(SECRETS, name, self.namespace)

    async def token(self) -> str:
        """What the server shows to the hub."""
        (data,) = (await self.secret())["data"].values()
        return base64.b64decode(data).decode()

    async def claim(self) -> dict | None:
        with contextlib.suppress(NotFound):
            return await self.client.get(CLAIMS, self.claim_name, self.namespace)
        return None

    async def is_untouched(self) -> bool:
        with contextlib.suppress(NotFound):
            await self.client.get(NAMESPACES, self.namespace)
            return False
        return True


async def limit(resources: UserResources, hard: dict[str, str], *, refused: tuple[Resource, dict]) -> None:
    """A quota in the user's namespace, in force when this returns: it refuses one more such object with this spec."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight"}, "spec": {"hard": hard}}
    await resources.client.request("POST", f"/api/v1/namespaces/{resources.namespace}/resourcequotas", body=quota)
    resource, spec = refused
    probe = {"apiVersion": "v1", "kind": resource.kind, "metadata": {"generateName": "probe-"}, "spec": spec}

    async def in_force() -> bool:
        try:
            made = await resources.client.create(resource, probe, resources.namespace)
        except Forbidden as error:
            return "exceeded quota" in error.message  # there may be no account yet
        await resources.client.delete(resource, made["metadata"]["name"], resources.namespace, grace_period=0)
        return False

    await until(in_force)


async def progress(browser: Browser, user: str) -> list[dict]:
    """The entries of the progress stream, to its end."""
    entries: list[dict] = []

    async def told() -> bool:
        async with browser.stream(f"/hub/api/users/{user}/server/progress") as response:
            # While JupyterHub clears up after a failed start, and only then, it says 400.
            assert response.status in (200, 400)
            async for line in response.content:
                if line.startswith(b"data:"):
                    entries.append(json.loads(line[5:]))
                    if entries[-1].get("ready") or entries[-1].get("failed"):
                        return True
        return bool(entries)

    await until(told)
    return entries


async def failure(browser: Browser, user: str, **options: str) -> dict:
    """The last progress entry of a start with these options, which must fail."""
    await browser.submit(user, **options)
    last = (await progress(browser, user))[-1]
    assert last.get("failed"), last
    return last


async def stopped(browser: Browser, user: str) -> None:
    """Stops the user's server; returns when the hub has done with it."""

    async def done() -> bool:
        await browser.get("/hub/home")  # a page of the hub's own: one below /user/ may have changed the cookie
        status, text = await browser.api("DELETE", f"/users/{user}/server")
        assert status in (202, 204), text
        return status == 204

    await until(done)


async def is_ready(browser: Browser, user: str) -> bool:
    """Whether the user's server is started, and the page of the user may be seen."""
    status, text = await browser.api("GET", f"/users/{user}")
    return status == 200 and json.loads(text)["servers"].get("", {}).get("ready", False)


async def whose(hub: ProductHub, token: str) -> str | None:
    """The user whom the hub knows by this token."""
    async with Browser(hub.url) as nobody:
        status, text = await nobody.get("/hub/api/user", headers={"Authorization": f"token {token}"})
    return json.loads(text)["name"] if status == 200 else None


async def until(condition, *, timeout: float = 60.0):
    """Polls an async condition until it gives something true."""
    async with asyncio.timeout(timeout):
        while not (value := await condition()):
            await asyncio.sleep(0.05)
        return value
