"""A whole endpoint on a real control plane and the local node: manifests, image, probes, status, new versions."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from kf_spawner.kube import Client, load_config
from kf_spawner.kube.resources import CLAIMS, DEPLOYMENTS, NAMESPACES, PODS, SERVICES, STORAGECLASSES
from kf_spawner.serving import SELECTOR, Backends, backends, build, status
from kf_spawner.serving.names import GRPC_PORT
from tests.fixtures.control_plane import ControlPlane
from tests.fixtures.image_python import ROOT

NAMESPACE = "kf-alice"
CLASS = ROOT / "kf_spawner" / "localcluster" / "manifests" / "storageclass.yaml"


@pytest.fixture
def node(new_control_plane: ControlPlane, tmp_path: Path) -> Iterator[Path]:
    """A node with the platform's own images; the folder of its volumes."""
    plane, keys = new_control_plane, new_control_plane.credentials
    argv = [
        *(sys.executable, "-m", "kf_spawner.localcluster.node"),
        f"--kubeconfig={plane.kubeconfig('system:node:local', ['system:nodes'])}",
        f"--provisioner-kubeconfig={plane.kubeconfig('provisioner', ['system:masters'])}",
        "--name=local",
        f"--root={tmp_path / 'node'}",
        f"--images={ROOT / 'images'}",
        f"--tls-cert={keys.node_server.certificate}",
        f"--tls-key={keys.node_server.key}",
        f"--client-ca={keys.authority}",
        "--stop-pods=True",
    ]
    with (tmp_path / "node.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
    yield tmp_path / "volumes"
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
async def client(new_control_plane: ControlPlane) -> AsyncIterator[Client]:
    async with Client(load_config(new_control_plane.admin_kubeconfig), user_agent="test") as opened:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        metadata = {"name": NAMESPACE, "labels": labels}
        await opened.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        await opened.create(STORAGECLASSES, yaml.safe_load(CLASS.read_text()))
        claim = {"metadata": {"name": "home", "namespace": NAMESPACE}}
        claim["spec"] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        await opened.create(CLAIMS, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim})
        yield opened


async def deploy(client: Client, name: str, folder: str) -> None:
    options = {"name": name, "claim": "home", "sub_path": folder, "image": "kf-spawner/model-server:0.1.0"}
    for resource, manifest in zip((DEPLOYMENTS, SERVICES), build(options, namespace=NAMESPACE), strict=True):
        await client.apply(resource, manifest, field_manager="test")


async def until(
    client: Client, name: str, done: Callable[[dict[str, Any]], bool], timeout: float = 120
) -> dict[str, Any]:
    """The endpoint's status once `done`; all that it said on the way is shown if that does not happen."""
    said: list[str] = []
    try:
        async with asyncio.timeout(timeout):
            while True:
                pods = await client.list(PODS, NAMESPACE, label_selector=f"{SELECTOR}={name}")
                found = status(await client.get(DEPLOYMENTS, name, NAMESPACE), pods["items"])
                line = f"{found['state']}: {found['message']}"
                if line not in said[-1:]:
                    said.append(line)
                if done(found):
                    return found
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail("\n".join(said))


async def backend(client: Client, name: str) -> Backends | None:
    """The pod that the door would choose; None while it would choose none."""
    services = (await client.list(SERVICES, NAMESPACE, label_selector=SELECTOR))["items"]
    pods = (await client.list(PODS, NAMESPACE))["items"]
    found = [one for one in backends(services, pods) if (one.namespace, one.name) == (NAMESPACE, name)]
    return found[0] if found and found[0].addresses else None


async def predict(client: Client, name: str) -> Any:
    """What that pod answers, if there is one."""
    found = await backend(client, name)
    if found is None:
        return None
    (address,) = found.addresses
    url = f"http://{address}:{found.port}/v1/models/{name}:predict"
    async with aiohttp.ClientSession() as http, http.post(url, json={"instances": [0]}) as answer:
        return (await answer.json())["predictions"]


async def until_predicted(client: Client, name: str, wanted: list[float]) -> None:
    """Under load a pod may miss a probe, and be chosen again after the next."""
    async with asyncio.timeout(120):
        while await predict(client, name) != wanted:
            await asyncio.sleep(0.1)


async def speaks_http2(address: str, port: int) -> bool:
    """Whether it answers the preface of a gRPC client's connection with its SETTINGS (RFC 9113, 3.4)."""
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
    frame = await asyncio.wait_for(reader.readexactly(9), 60)
    writer.close()
    return frame[3] == 4


async def test_an_endpoint_from_manifests_to_predictions(client: Client, node: Path, models: Path) -> None:
    home = node / NAMESPACE / "home"
    async with asyncio.timeout(120):
        while not home.is_dir():
            await asyncio.sleep(0.1)
    shutil.copytree(models / "half" / "1", home / "models" / "half" / "1")
    (home / "broken" / "1").mkdir(parents=True)
    (home / "broken" / "1" / "saved_model.pb").write_bytes(b"no graph")
    await deploy(client, "half", "models/half")
    await deploy(client, "broken", "broken")

    assert (await until(client, "half", lambda seen: seen["state"] == "Ready"))["ready"] == 1
    await until_predicted(client, "half", [1.0])
    chosen = await backend(client, "half")
    assert chosen is not None
    assert await speaks_http2(chosen.addresses[0], GRPC_PORT)

    shutil.copytree(models / "half" / "2", home / "models" / "half" / "2")
    await until_predicted(client, "half", [2.0])

    failed = await until(client, "broken", lambda seen: seen["state"] == "Failed")
    assert "exit code 1" in failed["message"]
    assert "version 1 of broken: it cannot be loaded" in failed["message"]
    assert failed["ready"] == 0
