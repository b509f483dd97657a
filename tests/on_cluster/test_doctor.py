"""The doctor on a real cluster: silent where all is well, and right about what a real kubelet and provisioner say.

Its pods run the hub's image (`make images ONLY=hub`, then `python -m tests.cluster load .images/hub.tar`).
"""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from kf_spawner.doctor.findings import CHECKS
from kf_spawner.kube import Client
from kf_spawner.kube.resources import CLAIMS, DEPLOYMENTS, NAMESPACES, PODS, VOLUMES

from .conftest import until

LIMIT = 240.0
PLATFORM = {"app.kubernetes.io/name": "kf-spawner", "app.kubernetes.io/component": "hub"}
BUSYBOX = "kf-cluster/busybox:1"


async def doctor(kubeconfig: Path, *arguments: str) -> dict:
    """Its report."""
    argv = [sys.executable, "-m", "kf_spawner.cli", "doctor", "--json", f"--kubeconfig={kubeconfig}", *arguments]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=pipe)
    async with asyncio.timeout(LIMIT):
        out, err = await process.communicate()
    assert process.returncode in (0, 1), err.decode()
    report = json.loads(out)
    assert report["healthy"] == (process.returncode == 0)
    return report


async def nothing_is_left(client: Client) -> None:
    """Until there is nothing that a doctor made: another test's may look around as well."""

    async def ask() -> dict:
        return {"left": await left(client)}

    await until(ask, lambda found: not found["left"])


async def left(client: Client) -> list[str]:
    """What doctors made and have not removed."""
    found = []
    for kind in (NAMESPACES, PODS, CLAIMS):
        items = (await client.list(kind, label_selector="app.kubernetes.io/managed-by=kf-spawner-doctor"))["items"]
        found += [f"{kind.kind} {item['metadata']['name']}" for item in items]
    volumes = (await client.list(VOLUMES))["items"]
    claims = [(volume["spec"].get("claimRef") or {}).get("name", "") for volume in volumes]
    return found + [claim for claim in claims if claim.startswith("kf-doctor-")]


def causes(report: dict) -> dict[str, str]:
    return {finding["check"]: finding["cause"] for finding in report["findings"]}


async def test_silent_on_a_healthy_cluster(client: Client, kubeconfig: Path, namespace: str):
    report = await doctor(kubeconfig, f"--namespace={namespace}")
    assert report == {"healthy": True, "installed": False, "findings": [], "passed_over": {}}
    await nothing_is_left(client)


async def test_in_a_namespace_that_is_there(client: Client, kubeconfig: Path, namespace: str):
    report = await doctor(kubeconfig, f"--namespace={namespace}", f"--probe-namespace={namespace}")
    assert (report["findings"], report["passed_over"]) == ([], {})
    await nothing_is_left(client)


async def test_a_class_that_refuses(client: Client, kubeconfig: Path, namespace: str):
    report = await doctor(
        kubeconfig, f"--namespace={namespace}", "--storage-class=refusing", "--timeout=40", "--patience=3"
    )
    assert set(causes(report)) == {"claim"}
    assert "of storage class refusing" in causes(report)["claim"]
    await nothing_is_left(client)


async def test_an_image_that_is_nowhere(client: Client, kubeconfig: Path, namespace: str):
    report = await doctor(
        kubeconfig, f"--namespace={namespace}", "--images=kf-cluster/absent:1", "--timeout=60", "--patience=3"
    )
    assert set(causes(report)) == {"images"}
    assert "The image kf-cluster/absent:1" in causes(report)["images"]


async def test_an_image_without_python(kubeconfig: Path, namespace: str):
    report = await doctor(kubeconfig, f"--namespace={namespace}", f"--image={BUSYBOX}", "--patience=3")
    assert set(causes(report)) == {"pod"}
    assert "python3" in causes(report)["pod"]


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        (
            {"volumes": [{"name": "config", "configMap": {"name": "hub-config"}}]},
            "the ConfigMap hub-config that it mounts does not exist",
        ),
        (
            {"env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "proxy-token", "key": "token"}}}]},
            "the Secret proxy-token that its environment reads does not exist",
        ),
        ({"command": ["sh", "-c", "echo no such table: users >/dev/termination-log; exit 3"]}, "exit code 3"),
        ({"image": "kf-cluster/absent:1"}, "The image kf-cluster/absent:1"),
        ({"nodeSelector": {"kf-spawner.io/nowhere": "true"}}, "finds no node"),
    ],
    ids=["configmap", "secret", "crash", "image", "selector"],
)
async def test_a_part_of_the_platform_that_is_not_ready(
    client: Client, kubeconfig: Path, namespace: str, pod: dict, words: str
):
    await client.create(DEPLOYMENTS, deployment(namespace, pod))

    async def ask() -> dict:
        return await doctor(kubeconfig, f"--namespace={namespace}", "--skip=pod,operator,crd")

    report = await until(ask, lambda report: bool(report["findings"]))
    assert set(causes(report)) == {"platform"}
    assert words in causes(report)["platform"]
    assert set(report["passed_over"]) <= set(CHECKS)


def deployment(namespace: str, pod: dict) -> dict:
    """A part of the platform with one container; `pod` is what is wrong with it."""
    container = {
        "name": "hub",
        "image": pod.get("image", BUSYBOX),
        "command": pod.get("command", ["sleep", "1000"]),
        "env": pod.get("env", []),
        "volumeMounts": [{"name": volume["name"], "mountPath": "/config"} for volume in pod.get("volumes", [])],
    }
    spec = {
        "containers": [container],
        "volumes": pod.get("volumes", []),
        "nodeSelector": pod.get("nodeSelector", {}),
        "terminationGracePeriodSeconds": 0,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "hub", "namespace": namespace, "labels": PLATFORM},
        "spec": {
            "selector": {"matchLabels": PLATFORM},
            "template": {"metadata": {"labels": PLATFORM}, "spec": spec},
        },
    }
