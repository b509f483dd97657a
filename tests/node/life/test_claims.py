"""Claims: a volume that outlives its pods, made by the cluster's default storage class."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from kf_spawner.kube import Client, load_config
from kf_spawner.kube.resources import CLAIMS, STORAGECLASSES
from kf_spawner.localcluster.node.volume.provisioner import run_provisioner
from tests.node.pods import Pods, about, sh

MANIFESTS = Path(__file__).parents[3] / "kf_spawner" / "localcluster" / "manifests"
HOME = {"volumeMounts": [{"name": "home", "mountPath": "/home/someone"}]}


def at_home(pods: Pods) -> dict:
    """Fields of a pod with the claim. By the scheduler: a class may make its volumes for the node that was chosen."""
    volumes = [{"name": "home", "persistentVolumeClaim": {"claimName": "home"}}]
    return {"nodeName": None, "nodeSelector": {"kubernetes.io/hostname": pods.target.node}, "volumes": volumes}


@pytest.fixture
async def claim(pods: Pods, request: pytest.FixtureRequest) -> AsyncIterator[dict]:
    """The claim `home` of the default class; beside our node its provisioner runs for the time of the test."""
    async with contextlib.AsyncExitStack() as stack:
        if not pods.target.containers:
            root = request.getfixturevalue("node").home / "volumes"
            await stack.enter_async_context(default_class(pods, root))
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
        body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "home"}, "spec": spec}
        yield await pods.client.create(CLAIMS, body, pods.namespace)
        for pod in await pods.pods():
            await pods.delete(pod, grace_period=0)
        await pods.client.delete(CLAIMS, "home", pods.namespace)
        async with asyncio.timeout(60):
            while (await pods.client.list(CLAIMS, pods.namespace))["items"]:
                await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def default_class(pods: Pods, root: Path) -> AsyncIterator[None]:
    shipped = yaml.safe_load((MANIFESTS / "storageclass.yaml").read_text())
    await pods.client.create(STORAGECLASSES, shipped)
    async with Client(load_config(pods.target.kubeconfig), user_agent="provisioner") as own:
        task = asyncio.create_task(run_provisioner(own, root))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await pods.client.delete(STORAGECLASSES, shipped["metadata"]["name"])


async def test_a_claim_outlives_its_pods(pods: Pods, claim: dict) -> None:
    first = await pods.pod({**sh("echo precious > /home/someone/f"), **HOME}, restartPolicy="Never", **at_home(pods))
    await pods.phase(first, "Succeeded")
    await pods.delete(first)
    await pods.gone(first)
    second = await pods.pod({**sh("cat /home/someone/f"), **HOME}, restartPolicy="Never", **at_home(pods))
    assert await pods.output(second) == "precious\n"


async def test_a_user_of_no_privilege_writes_into_it(pods: Pods, claim: dict) -> None:
    """As notebooks run: by number, with the volume's group."""
    security = {"runAsUser": 1000, "runAsGroup": 100, "fsGroup": 100}
    script = "cd /home/someone && mkdir new && echo x > new/f && cat new/f"
    part = {**sh(script), **HOME}
    pod = await pods.pod(part, restartPolicy="Never", **at_home(pods), securityContext=security)
    assert await pods.output(pod) == "x\n"


async def test_two_pods_of_one_node_share_it(pods: Pods, claim: dict) -> None:
    script = "echo up; until [ -e /home/someone/f ]; do sleep 0.1; done"
    reader = await pods.pod({**sh(script), **HOME}, restartPolicy="Never", **at_home(pods))
    await pods.first_line(reader)
    await pods.pod({**sh("touch /home/someone/f"), **HOME}, restartPolicy="Never", **at_home(pods))
    await pods.phase(reader, "Succeeded")


async def test_a_sub_path_of_it(pods: Pods, claim: dict) -> None:
    part = sh("echo mine > /mine/f; cat /mine/f")
    part["volumeMounts"] = [{"name": "home", "mountPath": "/mine", "subPath": "users/ada"}]
    pod = await pods.pod(part, restartPolicy="Never", **at_home(pods))
    await pods.phase(pod, "Succeeded")
    look = await pods.pod({**sh("cat /home/someone/users/ada/f"), **HOME}, restartPolicy="Never", **at_home(pods))
    assert await pods.output(look) == "mine\n"


async def test_without_its_claim_a_pod_is_not_placed(pods: Pods) -> None:
    volumes = [{"name": "home", "persistentVolumeClaim": {"claimName": "nobody"}}]
    pod = await pods.pod({**sh("true"), **HOME}, nodeName=None, volumes=volumes)
    pod = await pods.until(pod, lambda now: about(now, "PodScheduled").get("reason") == "Unschedulable")
    assert 'persistentvolumeclaim "nobody" not found' in about(pod, "PodScheduled")["message"]
