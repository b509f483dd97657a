"""A user's namespace on the real API server, and a real Jupyter server with the extension that acts in it."""

import asyncio
import contextlib
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml

from kf_spawner.kube import AlreadyExists, Client, load_config
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

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "kf_spawner" / "manifests"
IMAGE = "kf-spawner/tensorflow:test"
CLAIM = "claim-admin"
HUB_TOKEN = "the-servers-own-token"


@dataclass
class World:
    """The administrator's client, the user's namespace, and where the user's kubeconfig and home directory are."""

    admin: Client
    namespace: str
    kubeconfig: Path
    home: Path

    async def leftovers(self) -> dict[str, list[str]]:
        """Names of everything that a submission could have made."""
        from kf_spawner.extension.jobs import TFJOBS

        found = {}
        for resource in (TFJOBS, CONFIGMAPS, DEPLOYMENTS, SERVICES, PODS):
            items = (await self.admin.list(resource, self.namespace))["items"]
            names = [item["metadata"]["name"] for item in items if item["metadata"]["name"] != "kube-root-ca.crt"]
            if names:
                found[resource.plural] = names
        return found


@contextlib.asynccontextmanager
async def make_world(admin_kubeconfig: Path, folder: Path) -> AsyncIterator[World]:
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
        home = folder / "home"
        home.mkdir()
        yield World(admin, namespace, kubeconfig, home)
        await admin.delete(NAMESPACES, namespace)


async def _install(admin: Client) -> None:
    for file, resource in (("tfjobs-crd.yaml", CRDS), ("rbac-notebook.yaml", CLUSTERROLES)):
        for document in yaml.safe_load_all((MANIFESTS / file).read_text()):
            await admin.apply(resource, document, field_manager="test")
    for _ in range(100):
        crd = await admin.get(CRDS, "tfjobs.kubeflow.org")
        conditions = (crd.get("status") or {}).get("conditions") or []
        if any(one["type"] == "Established" and one["status"] == "True" for one in conditions):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the CRD was not established")


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
class Server:
    """A Jupyter server process with the extension."""

    url: str
    token: str
    process: asyncio.subprocess.Process
    environment: dict[str, str] = field(repr=False)
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
async def run_server(
    world: World, folder: Path, *, variables: dict[str, str] | None = None, settings: tuple[str, ...] = ()
) -> AsyncIterator[Server]:
    """`variables` are added to the environment; one set to "" is absent."""
    token = secrets.token_hex(16)
    base = {key: value for key, value in os.environ.items() if not key.startswith(("JUPYTER", "KF_"))}
    environment = {
        **base,
        "HOME": str(world.home),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_NO_CONFIG": "1",
        "PYTHONPATH": str(ROOT),
        "KUBECONFIG": str(world.kubeconfig),
        "KF_IMAGE": IMAGE,
        "KF_MODEL_SERVER_IMAGE": "kf-spawner/model-server:test",
        "KF_HOME_CLAIM": CLAIM,
        "KF_HOME_MOUNT": str(world.home),
        "JUPYTERHUB_API_TOKEN": HUB_TOKEN,
        **(variables or {}),
    }
    environment = {key: value for key, value in environment.items() if value}
    log = folder / "server.log"
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "jupyter_server", "--no-browser", "--port=0", "--ip=127.0.0.1", "--allow-root"),
            "--ServerApp.jpserver_extensions={'kf_spawner.extension': True}",
            f"--ServerApp.root_dir={world.home}",
            f"--IdentityProvider.token={token}",
            *settings,
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        info = folder / "runtime" / f"jpserver-{process.pid}.json"
        async with asyncio.timeout(30):
            while not info.exists() or not info.read_text():
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.05)
        url = json.loads(info.read_text())["url"]
        async with aiohttp.ClientSession() as session:
            server = Server(url, token, process, environment, session)
            async with asyncio.timeout(30):
                while (await _status(server)) != 200:
                    await asyncio.sleep(0.05)
            yield server
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _status(server: Server) -> int:
    try:
        async with server.session.get(
            f"{server.url}api", headers={"Authorization": f"token {server.token}"}
        ) as answer:
            return answer.status
    except aiohttp.ClientError:
        return 0
