"""A cluster on a stage: the real control plane, and a node of which nothing but its reports exists.

The reports are those that a kubelet, its network plugin and a storage provisioner write, so a test can have a cluster
that is broken in any way, and see what the doctor makes of it.
"""

import asyncio
import contextlib
import copy
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

from kf_spawner.doctor.prober import Patience
from kf_spawner.doctor.run import Options, Report, Run
from kf_spawner.kube import Client, NotFound
from kf_spawner.kube.resources import CLAIMS, DEPLOYMENTS, EVENTS, LEASES, NODES, PODS, STORAGECLASSES, VOLUMES

NODE = "stage"
CLASS = "standard"
PROVISIONER = "stage.example/provisioner"
PROBES = "probes"
IMAGE = "kf-spawner/hub:test"
DEFAULT = "storageclass.kubernetes.io/is-default-class"
NO_PLUGIN = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
    "message:Network plugin returns error: cni plugin not initialized"
)
Play = Callable[["Stage", dict], Awaitable[None]]


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Stage:
    """Plays the node and the provisioner while a test runs; `play` decides what becomes of a pod, once for each."""

    def __init__(self, client: Client, namespace: str):
        self.client, self.namespace = client, namespace
        self.play: Play = runs_well
        self.provide: Play = gives_volume
        self._seen: set[str] = set()

    async def take_over(self) -> None:
        """The pods that are there have been played: nothing but the test itself changes them from here on."""
        self._seen |= {pod["metadata"]["uid"] for pod in await self._pods()}

    async def _pods(self) -> list[dict]:
        return (await self.client.list(PODS, field_selector=f"spec.nodeName={NODE}"))["items"]

    async def run(self) -> None:
        while True:
            await self._each(await self._pods(), self.play)
            claims = (await self.client.list(CLAIMS))["items"]
            await self._each([claim for claim in claims if claim["status"].get("phase") == "Pending"], self.provide)
            await self._recycle()
            await asyncio.sleep(0.05)

    async def _each(self, objects: list[dict], play: Play) -> None:
        for obj in objects:
            if obj["metadata"]["uid"] not in self._seen:
                self._seen.add(obj["metadata"]["uid"])
                with contextlib.suppress(NotFound):  # it is gone again
                    await play(self, obj)

    async def _recycle(self) -> None:
        for volume in (await self.client.list(VOLUMES))["items"]:
            spec = volume["spec"]
            if volume["status"].get("phase") == "Released" and spec["persistentVolumeReclaimPolicy"] == "Delete":
                with contextlib.suppress(NotFound):
                    await self.client.delete(VOLUMES, volume["metadata"]["name"])

    async def examine(self, *, client: Client | None = None, **options) -> Report:
        """A short-tempered doctor's report on the platform in this stage's namespace."""
        options = {"image": IMAGE, "place": PROBES, "patience": Patience(timeout=20.0, trouble=0.3), **options}
        options["skip"] = frozenset(options.get("skip", ()))
        return await Run(client or self.client, Options(namespace=self.namespace, **options)).execute()

    async def status(self, pod: dict, **status) -> None:
        meta = pod["metadata"]
        status = {"hostIP": "192.0.2.1", **status}
        await self.client.patch(PODS, meta["name"], {"status": status}, meta["namespace"], subresource="status")

    async def event(self, obj: dict, reason: str, message: str, *, kind: str = "Warning") -> None:
        """An event about `obj`, as the part of a cluster that it concerns writes it."""
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
            "source": {"component": "stage"},
        }
        await self.client.create(EVENTS, event)

    async def deployment(self, component: str, *, replicas: int = 1, pod: dict | None = None) -> dict:
        """A part of the platform."""
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

    async def installed(self, *, but: str = "") -> None:
        """The platform with all its parts ready, or all `but` one."""
        for component in ("hub", "operator"):
            await self.deployment(component)

        async def ready():
            items = (await self.client.list(DEPLOYMENTS, self.namespace))["items"]
            return all(i["status"].get("readyReplicas") for i in items if i["metadata"]["name"] != but)

        await self.until(ready)

    async def pod_of(self, component: str, check: Callable[[dict], object] = bool) -> dict:
        """The one pod of a part, once there is one that passes `check`."""

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

    async def node(self, *, ready: bool = True, message: str = "kubelet is posting ready status") -> None:
        """The node reports; returns once the taint that says the contrary is gone or there."""
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
    async def storage_class(self, **changes) -> AsyncIterator[None]:
        """The cluster's class, changed: a class's fields cannot be, so it is made anew."""
        await self._set_class({**storage_class(), **changes})
        try:
            yield
        finally:
            await self._set_class(storage_class())

    async def _set_class(self, body: dict) -> None:
        with contextlib.suppress(NotFound):
            await self.client.delete(STORAGECLASSES, CLASS)
        await self.client.create(STORAGECLASSES, body)

    async def left(self) -> list[str]:
        """What the doctor has left."""
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
    time = (datetime.now(UTC) + timedelta(seconds=ahead)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": NODE, "namespace": "kube-node-lease"},
        "spec": {"holderIdentity": NODE, "leaseDurationSeconds": 40, "renewTime": time},
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


async def runs_well(stage: Stage, pod: dict) -> None:
    """What a healthy node makes of a pod: probes end with a good report, others are ready."""
    if is_probe(pod):
        await reports(stage, pod, {"address": "10.96.0.1", "service": "", "dns": "", "write": ""})
        return
    await is_ready(stage, pod)


async def is_ready(stage: Stage, pod: dict) -> None:
    container = {
        "name": pod["spec"]["containers"][0]["name"],
        "image": IMAGE,
        "imageID": "",
        "ready": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": now()}},
    }
    conditions = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]
    await stage.status(pod, phase="Running", podIP="10.0.0.2", containerStatuses=[container], conditions=conditions)


async def reports(stage: Stage, pod: dict, report: dict) -> None:
    """The probe's program has ended and said this."""
    ended = {"exitCode": 0, "reason": "Completed", "message": json.dumps(report)}
    status = waiting(pod, "")
    status["containerStatuses"][0]["state"] = {"terminated": ended}
    await stage.status(pod, **{**status, "phase": "Succeeded", "podIP": "10.0.0.3"})


def says(report: dict) -> Play:
    """Probes report this, besides what is well."""

    async def play(stage: Stage, pod: dict) -> None:
        good = {"address": "10.96.0.1", "service": "", "dns": "", "write": ""}
        await (reports(stage, pod, {**good, **report}) if is_probe(pod) else is_ready(stage, pod))

    return play


def tells(reason: str, message: str, *, of: Callable[[dict], bool] = is_probe) -> Play:
    """The node writes this event about some pods and does not start them."""

    async def play(stage: Stage, pod: dict) -> None:
        if not of(pod):
            await runs_well(stage, pod)
            return
        await stage.status(pod, **waiting(pod, "ContainerCreating"))
        await stage.event(pod, reason, message)

    return play


def waits(reason: str, message: str, *, of: Callable[[dict], bool] = is_probe, **more) -> Play:
    """The container of some pods waits for this reason."""

    async def play(stage: Stage, pod: dict) -> None:
        if of(pod):
            await stage.status(pod, **waiting(pod, reason, message, **more))
        else:
            await runs_well(stage, pod)

    return play


def is_part(component: str) -> Callable[[dict], bool]:
    return lambda pod: pod["metadata"].get("labels", {}).get("app.kubernetes.io/component") == component


async def gives_volume(stage: Stage, claim: dict) -> None:
    """What a provisioner makes of a claim of its class."""
    chosen = claim["spec"].get("storageClassName")
    if not chosen:
        return
    found = await stage.client.get(STORAGECLASSES, chosen)
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
            "csi": {"driver": "stage.example", "volumeHandle": meta["uid"]},
        },
    }
    await stage.client.create(VOLUMES, volume)


def refuses_claims(message: str) -> Play:
    async def provide(stage: Stage, claim: dict) -> None:
        await stage.event(claim, "ProvisioningFailed", message)

    return provide
