"""A user's namespace on the real API server, and a real Jupyter server with the extension that acts in it."""

import asyncio
import contextlib
import functools
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml

from kf_spawner.kube import AlreadyExists, ApiError, Client, load_config
from kf_spawner.kube.resources import (
    CLAIMS,
    CLUSTERROLES,
    CONFIGMAPS,
    CRDS,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    ROLEBINDINGS,
    SERVICEACCOUNTS,
    SERVICES,
)
from kf_spawner.workloads.jobs import TFJOBS

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "kf_spawner" / "manifests"
IMAGE = "kf-spawner/tensorflow:test"
CLAIM = "claim-admin"
HUB_TOKEN = "the-servers-own-token"
START_TIMEOUT = 60.0
CLEAR_TIMEOUT = 120.0

MADE_BY_SUBMISSIONS = (TFJOBS, CONFIGMAPS, DEPLOYMENTS, SERVICES, PODS)
BELONGS_TO_EVERY_NAMESPACE = "kube-root-ca.crt"


@dataclass(frozen=True)
class Grounds:
    """A user's namespace, and where the kubeconfigs and the user's home directory are. Many tests play on them."""

    admin_kubeconfig: Path
    namespace: str
    kubeconfig: Path
    home: Path


@dataclass
class World:
    """The grounds as one test has them, to itself, and the administrator's client."""

    admin: Client
    grounds: Grounds

    @property
    def namespace(self) -> str:
        return self.grounds.namespace

    @property
    def kubeconfig(self) -> Path:
        return self.grounds.kubeconfig

    @property
    def home(self) -> Path:
        return self.grounds.home

    async def leftovers(self) -> dict[str, list[str]]:
        """Names of everything that a submission could have made."""
        found = {}
        for resource in MADE_BY_SUBMISSIONS:
            items = (await self.admin.list(resource, self.namespace))["items"]
            names = [item["metadata"]["name"] for item in items]
            if left := [name for name in names if name != BELONGS_TO_EVERY_NAMESPACE]:
                found[resource.plural] = left
        return found

    async def clear(self) -> None:
        """Removes what submissions made; returns when all of it is gone.

        That may take until the garbage collector has learned of TFJobs: it looks for new kinds every 30 seconds.
        """
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        params = {"fieldSelector": f"metadata.name!={BELONGS_TO_EVERY_NAMESPACE}"}
        async with asyncio.timeout(CLEAR_TIMEOUT):
            while left := await self.leftovers():
                for resource in MADE_BY_SUBMISSIONS:
                    if resource.plural in left:
                        body = {**options, **({"gracePeriodSeconds": 0} if resource is PODS else {})}
                        await self.admin.request("DELETE", resource.path(self.namespace), params=params, body=body)
                await asyncio.sleep(0.05)


async def make_grounds(admin_kubeconfig: Path, folder: Path) -> Grounds:
    """A new namespace with all that the hub puts there, and an empty home directory in `folder`."""
    async with Client(load_config(admin_kubeconfig), user_agent="test") as admin:
        await _install(admin)
        made = await admin.create(
            NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "kf-user-"}}
        )
        namespace = made["metadata"]["name"]
        await _make_account(admin, namespace)
        await admin.create(CLAIMS, _claim(), namespace)
        answer = await admin.create_subresource(
            SERVICEACCOUNTS, "notebook", namespace, "token", {"spec": {"expirationSeconds": 3600}}
        )
    kubeconfig = folder / "user.kubeconfig"
    kubeconfig.write_text(_kubeconfig(admin_kubeconfig, namespace, answer["status"]["token"]))
    await _until_allowed(kubeconfig, namespace)
    home = folder / "home"
    home.mkdir()
    return Grounds(admin_kubeconfig, namespace, kubeconfig, home)


@contextlib.asynccontextmanager
async def world_on(grounds: Grounds) -> AsyncIterator[World]:
    """The world of one test: what the test made there and in the home directory goes with it."""
    before = set(grounds.home.iterdir())
    async with Client(load_config(grounds.admin_kubeconfig), user_agent="test") as admin:
        world = World(admin, grounds)
        yield world
        await world.clear()
    for path in set(grounds.home.iterdir()) - before:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


async def _install(admin: Client) -> None:
    for file, resource in (("tfjobs-crd.yaml", CRDS), ("rbac-notebook.yaml", CLUSTERROLES)):
        for document in yaml.safe_load_all((MANIFESTS / file).read_text()):
            await admin.apply(resource, document, field_manager="test")


async def _until_allowed(kubeconfig: Path, namespace: str) -> None:
    """The API serves a new kind, and knows a new account's rights, a moment after it has taken them."""
    async with Client(load_config(kubeconfig), user_agent="test") as user, asyncio.timeout(START_TIMEOUT):
        while True:
            with contextlib.suppress(ApiError):
                await user.list(TFJOBS, namespace)
                return
            await asyncio.sleep(0.05)


async def _make_account(admin: Client, namespace: str) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "notebook"}}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "notebook"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "kf-spawner-notebook",
        },
        "subjects": [{"kind": "ServiceAccount", "name": "notebook", "namespace": namespace}],
    }
    with contextlib.suppress(AlreadyExists):
        await admin.create(SERVICEACCOUNTS, account, namespace)
    await admin.create(ROLEBINDINGS, binding, namespace)


def _claim() -> dict:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIM},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def _kubeconfig(admin_kubeconfig: Path, namespace: str, token: str) -> str:
    document = yaml.safe_load(admin_kubeconfig.read_text())
    cluster = document["clusters"][0]["cluster"]
    ca = cluster.get("certificate-authority")
    if ca:
        cluster["certificate-authority"] = str(admin_kubeconfig.parent / ca)
    context = {"cluster": "c", "user": "u", "namespace": namespace}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "c", "context": context}],
        }
    )


@dataclass
class ServerProcess:
    """A Jupyter server with the extension. `end` it."""

    url: str
    token: str
    process: subprocess.Popen[bytes]

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Server:
    """A test's connection to a server."""

    url: str
    token: str
    session: aiohttp.ClientSession = field(repr=False)

    async def call(self, method: str, path: str, **options: object) -> tuple[int, dict]:
        """(status, JSON) of a request under /kf/api/v1/ with the token."""
        headers = {"Authorization": f"token {self.token}", **options.pop("headers", {})}  # type: ignore[dict-item]
        async with self.session.request(
            method, f"{self.url}kf/api/v1/{path}", headers=headers, **options
        ) as response:
            text = await response.text()
            try:
                return response.status, json.loads(text)
            except ValueError:
                return response.status, {"text": text}

    async def stream(self, path: str) -> AsyncIterator[dict]:
        async with self.session.get(
            f"{self.url}kf/api/v1/{path}", headers={"Authorization": f"token {self.token}"}
        ) as response:
            assert response.status == 200, await response.text()
            async for line in response.content:
                yield json.loads(line)


@contextlib.asynccontextmanager
async def connected(process: ServerProcess) -> AsyncIterator[Server]:
    async with aiohttp.ClientSession() as session:
        yield Server(process.url, process.token, session)


@contextlib.asynccontextmanager
async def run_server(
    world: World, folder: Path, *, variables: dict[str, str] | None = None, settings: tuple[str, ...] = ()
) -> AsyncIterator[Server]:
    """A server for one test that needs it otherwise than the others; see `start_server`."""
    start = functools.partial(start_server, world.grounds, folder, variables=variables, settings=settings)
    process = await asyncio.to_thread(start)
    try:
        async with connected(process) as server:
            yield server
    finally:
        await asyncio.to_thread(process.end)


def start_server(
    grounds: Grounds, folder: Path, *, variables: dict[str, str] | None = None, settings: tuple[str, ...] = ()
) -> ServerProcess:
    """A new server that answers. `variables` are added to its environment; one set to "" is absent. Blocking."""
    token = secrets.token_hex(16)
    base = {key: value for key, value in os.environ.items() if not key.startswith(("JUPYTER", "KF_"))}
    environment = {
        **base,
        "HOME": str(grounds.home),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_NO_CONFIG": "1",
        "PYTHONPATH": str(ROOT),
        "KUBECONFIG": str(grounds.kubeconfig),
        "KF_IMAGE": IMAGE,
        "KF_MODEL_SERVER_IMAGE": "kf-spawner/model-server:test",
        "KF_HOME_CLAIM": CLAIM,
        "KF_HOME_MOUNT": str(grounds.home),
        "JUPYTERHUB_API_TOKEN": HUB_TOKEN,
        **(variables or {}),
    }
    log = folder / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [
                *(
                    sys.executable,
                    "-m",
                    "jupyter_server",
                    "--no-browser",
                    "--port=0",
                    "--ip=127.0.0.1",
                    "--allow-root",
                ),
                "--ServerApp.jpserver_extensions={'kf_spawner.extension': True}",
                f"--ServerApp.root_dir={grounds.home}",
                f"--IdentityProvider.token={token}",
                *settings,
            ],
            env={key: value for key, value in environment.items() if value},
            stdout=output,
            stderr=output,
        )
    server = ServerProcess("", token, process)
    try:
        server.url = _url(process, folder / "runtime" / f"jpserver-{process.pid}.json", log)
    except BaseException:
        server.end()
        raise
    return server


def _url(process: subprocess.Popen[bytes], info: Path, log: Path) -> str:
    """Where the server is, once it answers there."""
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        with contextlib.suppress(OSError, ValueError):
            url: str = json.loads(info.read_text())["url"]
            with urllib.request.urlopen(f"{url}api", timeout=START_TIMEOUT):
                return url
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
