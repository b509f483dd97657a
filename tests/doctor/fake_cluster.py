"""A fake cluster: a real control plane, a fake node and a fake storage provisioner.

The node and the provisioner run nothing: they write the statuses and events that a kubelet, its network plugin and a
provisioner write. So a test can break the cluster in any way and look at the doctor's report.
"""

import asyncio
import contextlib
import copy
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

from kf_spawner.doctor.prober import Patience
from kf_spawner.doctor.run import Options, Report, Run
from kf_spawner.kube import Client, NotFound
from kf_spawner.kube.resources import CLAIMS, DEPLOYMENTS, EVENTS, LEASES, NODES, PODS, STORAGECLASSES, VOLUMES

NODE = "fake-node"
CLASS = "standard"
PROVISIONER = "fake.example/provisioner"
PROBES = "probes"
RENEW_EVERY = 10.0  # seconds, as a kubelet does
IMAGE = "kf-spawner/hub:test"
GOOD_REPORT = {"address": "10.96.0.1", "service": "", "dns": "", "write": ""}
DEFAULT = "storageclass.kubernetes.io/is-default-class"
NO_PLUGIN = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
    "message:Network plugin returns error: cni plugin not initialized"
)
# Reports what happens to a new pod or claim.
Handler = Callable[["FakeCluster", dict], Awaitable[None]]


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class FakeCluster:
    """The node and the provisioner: `on_pod` handles each new pod once, `on_claim` each new pending claim."""

    def __init__(self, client: Client, namespace: str):
        self.client, self.namespace = client, namespace
        self.on_pod: Handler = run_pod
        self.on_claim: Handler = provision_volume
        self.clock_ahead = 0.0  # seconds by which the node's clock is wrong
        self._handled: set[str] = set()  # uids

    async def ignore_existing_pods(self) -> None:
        """Leaves the pods that exist now to the test itself."""
        self._handled |= {pod["metadata"]["uid"] for pod in await self._pods()}

    async def _pods(self) -> list[dict]:
        return (await self.client.list(PODS, field_selector=f"spec.nodeName={NODE}"))["items"]

    async def run(self) -> None:
        renewed = 0.0
        while True:
            if time.monotonic() - renewed > RENEW_EVERY:
                await self.renew_lease()
                renewed = time.monotonic()
            await self._handle(await self._pods(), self.on_pod)
            claims = (await self.client.list(CLAIMS))["items"]
            pending = [claim for claim in claims if claim["status"].get("phase") == "Pending"]
            await self._handle(pending, self.on_claim)
            await self._delete_released_volumes()
            await asyncio.sleep(0.05)

    async def renew_lease(self) -> None:
        await heartbeat(self.client, ahead=self.clock_ahead)

    async def _handle(self, objects: list[dict], handler: Handler) -> None:
        for obj in objects:
            if obj["metadata"]["uid"] not in self._handled:
                self._handled.add(obj["metadata"]["uid"])
                with contextlib.suppress(NotFound):  # it was deleted meanwhile
                    await handler(self, obj)

    async def _delete_released_volumes(self) -> None:
        for volume in (await self.client.list(VOLUMES))["items"]:
            spec = volume["spec"]
            if volume["status"].get("phase") == "Released" and spec["persistentVolumeReclaimPolicy"] == "Delete":
                with contextlib.suppress(NotFound):
                    await self.client.delete(VOLUMES, volume["metadata"]["name"])

    async def run_doctor(self, *, client: Client | None = None, **options) -> Report:
        """The doctor's report on the platform in `namespace`, with short time limits."""
        options = {"image": IMAGE, "place": PROBES, "patience": Patience(timeout=20.0, trouble=0.3), **options}
        options["skip"] = frozenset(options.get("skip", ()))
        return await Run(client or self.client, Options(namespace=self.namespace, **options)).execute()

    async def set_status(self, pod: dict, **status) -> None:
        meta = pod["metadata"]
        status = {"hostIP": "192.0.2.1", **status}
        await self.client.patch(PODS, meta["name"], {"status": status}, meta["namespace"], subresource="status")

    async def create_event(self, obj: dict, reason: str, message: str, *, kind: str = "Warning") -> None:
        """Creates an event about `obj`, as a component of the cluster does."""
        meta = obj["metadata"]
        reference = {
            "kind": obj["kind"],
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
            "apiVersion": obj["apiVersion"],
        }
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{meta['name']}.{uuid.uuid4().hex[:12]}", "namespace": meta["namespace"]},
            "involvedObject": reference,
            "type": kind,
            "reason": reason,
            "message": message,
            "firstTimestamp": now(),
            "lastTimestamp": now(),
            "count": 1,
            "source": {"component": "fake"},
        }
        await self.client.create(EVENTS, event)

    async def create_deployment(self, component: str, *, replicas: int = 1, pod: dict | None = None) -> dict:
        """Creates the deployment of a component of the platform."""
        labels = {"app.kubernetes.io/name": "kf-spawner", "app.kubernetes.io/component": component}
        spec = pod or {"containers": [{"name": component, "image": IMAGE}]}
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": component, "namespace": self.namespace, "labels": labels},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        }
        return await self.client.create(DEPLOYMENTS, body)

    async def install_platform(self, *, but: str = "") -> None:
        """Creates the platform; returns once all its components are ready, or all `but` one."""
        for component in ("hub", "operator"):
            await self.create_deployment(component)

        async def ready():
            items = (await self.client.list(DEPLOYMENTS, self.namespace))["items"]
            return all(i["status"].get("readyReplicas") for i in items if i["metadata"]["name"] != but)

        await self.until(ready)

    async def pod_of(self, component: str, check: Callable[[dict], object] = bool) -> dict:
        """The one pod of a component, once it passes `check`."""

        async def look():
            selector = f"app.kubernetes.io/component={component}"
            pods = (await self.client.list(PODS, self.namespace, label_selector=selector))["items"]
            return pods[0] if pods and check(pods[0]) else None

        return await self.until(look)

    async def until(self, check: Callable[[], Awaitable[object]], *, timeout: float = 60.0):
        async with asyncio.timeout(timeout):
            while not (result := await check()):
                await asyncio.sleep(0.05)
        return result

    async def set_node(self, *, ready: bool = True, message: str = "kubelet is posting ready status") -> None:
        """Reports the node as ready or not; returns once Kubernetes has removed or added the node's taint."""
        state = {
            "type": "Ready",
            "status": "True" if ready else "False",
            "reason": "KubeletReady" if ready else "KubeletNotReady",
            "message": message,
            "lastHeartbeatTime": now(),
            "lastTransitionTime": now(),
        }
        await self.client.patch(
            NODES, NODE, {"status": {"conditions": [state]}}, subresource="status", kind="strategic"
        )

        async def noticed():
            taints = (await self.client.get(NODES, NODE))["spec"].get("taints") or []
            return any(taint["key"] == "node.kubernetes.io/not-ready" for taint in taints) != ready

        await self.until(noticed)

    @contextlib.asynccontextmanager
    async def changed_storage_class(self, **changes) -> AsyncIterator[None]:
        """Changes the cluster's class meanwhile. A class's fields are immutable, so the class is replaced."""
        await self._replace_class({**storage_class(), **changes})
        try:
            yield
        finally:
            await self._replace_class(storage_class())

    async def _replace_class(self, body: dict) -> None:
        with contextlib.suppress(NotFound):
            await self.client.delete(STORAGECLASSES, CLASS)
        await self.client.create(STORAGECLASSES, body)

    async def leftovers(self) -> list[str]:
        """The objects that the doctor has not removed."""
        found = []
        for kind in (PODS, CLAIMS):
            found += (await self.client.list(kind, label_selector="app.kubernetes.io/managed-by=kf-spawner-doctor"))[
                "items"
            ]
        found += (await self.client.list(VOLUMES))["items"]
        return [f"{item['kind']} {item['metadata']['name']}" for item in found]


def storage_class() -> dict:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": {DEFAULT: "true"}},
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
    }


async def heartbeat(client: Client, *, ahead: float = 0) -> None:
    """The node's Lease, as a kubelet renews it: without it the node counts as lost after 40 s. `ahead`: its clock."""
    moment = (datetime.now(UTC) + timedelta(seconds=ahead)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": NODE, "namespace": "kube-node-lease"},
        "spec": {"holderIdentity": NODE, "leaseDurationSeconds": 40, "renewTime": moment},
    }
    await client.apply(LEASES, lease, field_manager="kubelet")


def is_probe(pod: dict) -> bool:
    return pod["metadata"]["namespace"] == PROBES or pod["metadata"]["name"].startswith("kf-doctor-")


def waiting(pod: dict, reason: str, message: str = "", *, restarts: int = 0, last: dict | None = None) -> dict:
    """The status of a pod whose one container waits."""
    container = pod["spec"]["containers"][0]
    state = {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": False,
        "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": message}},
        "lastState": {"terminated": last} if last else {},
    }
    return {"phase": "Pending", "containerStatuses": [state]}


async def run_pod(cluster: FakeCluster, pod: dict) -> None:
    """Does as a healthy node: a probe ends with a good report, any other pod becomes ready."""
    await (report_probe(cluster, pod, GOOD_REPORT) if is_probe(pod) else report_ready(cluster, pod))


async def report_ready(cluster: FakeCluster, pod: dict) -> None:
    container = {
        "name": pod["spec"]["containers"][0]["name"],
        "image": IMAGE,
        "imageID": "",
        "ready": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": now()}},
    }
    conditions = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]
    await cluster.set_status(
        pod, phase="Running", podIP="10.0.0.2", containerStatuses=[container], conditions=conditions
    )


async def report_probe(cluster: FakeCluster, pod: dict, report: dict) -> None:
    """Ends the probe's container with `report` as its termination message."""
    ended = {"exitCode": 0, "reason": "Completed", "message": json.dumps(report)}
    status = waiting(pod, "")
    status["containerStatuses"][0]["state"] = {"terminated": ended}
    await cluster.set_status(pod, **{**status, "phase": "Succeeded", "podIP": "10.0.0.3"})


def probes_report(report: dict) -> Handler:
    """Probes end with a good report changed by `report`."""

    async def handle(cluster: FakeCluster, pod: dict) -> None:
        await (report_probe(cluster, pod, GOOD_REPORT | report) if is_probe(pod) else report_ready(cluster, pod))

    return handle


def fails_with_event(reason: str, message: str, *, of: Callable[[dict], bool] = is_probe) -> Handler:
    """The pods selected by `of` are not started: an event says why."""

    async def handle(cluster: FakeCluster, pod: dict) -> None:
        if not of(pod):
            await run_pod(cluster, pod)
            return
        await cluster.set_status(pod, **waiting(pod, "ContainerCreating"))
        await cluster.create_event(pod, reason, message)

    return handle


def keeps_waiting(reason: str, message: str, *, of: Callable[[dict], bool] = is_probe, **more) -> Handler:
    """The container of the pods selected by `of` waits for this reason."""

    async def handle(cluster: FakeCluster, pod: dict) -> None:
        if of(pod):
            await cluster.set_status(pod, **waiting(pod, reason, message, **more))
        else:
            await run_pod(cluster, pod)

    return handle


def is_component(component: str) -> Callable[[dict], bool]:
    return lambda pod: pod["metadata"].get("labels", {}).get("app.kubernetes.io/component") == component


async def provision_volume(cluster: FakeCluster, claim: dict) -> None:
    """Creates the volume of a claim that names a class."""
    chosen = claim["spec"].get("storageClassName")
    if not chosen:
        return
    found = await cluster.client.get(STORAGECLASSES, chosen)
    meta = claim["metadata"]
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"pv-{meta['uid']}", "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "storageClassName": chosen,
            "capacity": copy.deepcopy(claim["spec"]["resources"]["requests"]),
            "accessModes": claim["spec"]["accessModes"],
            "persistentVolumeReclaimPolicy": found["reclaimPolicy"],
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": meta["name"],
                "namespace": meta["namespace"],
                "uid": meta["uid"],
            },
            "csi": {"driver": "fake.example", "volumeHandle": meta["uid"]},
        },
    }
    await cluster.client.create(VOLUMES, volume)


def refuses_claims(message: str) -> Handler:
    async def handle(cluster: FakeCluster, claim: dict) -> None:
        await cluster.create_event(claim, "ProvisioningFailed", message)

    return handle
