"""The objects of the node itself: a Node with its capacity and conditions, and a Lease that the node renews.

Knows nothing of pods. One annotation goes beyond a kubelet: it lists the images that cannot run here.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from kf_spawner.k8s import times
from kf_spawner.k8s.metadata import owner_reference
from kf_spawner.k8s.names import GPU
from kf_spawner.kube import AlreadyExists, ApiError, Client, NotFound
from kf_spawner.kube.resources import LEASES, NODES

from .hardware import Gpu, architecture

log = logging.getLogger(__name__)

LEASE_NAMESPACE = "kube-node-lease"
LEASE_SECONDS = 40
RENEW_INTERVAL = 10.0
RETRY_INTERVAL = 1.0
BEAT_TIMEOUT = 10.0  # an API server without its store delays requests: better ask again than wait
UNAVAILABLE = "images.kf-spawner.io/unavailable"
KUBELET_VERSION = "v1.37.2"  # the version of the API that this node implements; that of controlplane/gomod/go.mod
DECLARED_FEATURES = ["ExtendWebSocketsToKubelet"]
_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)


def capacity(*, cpus: int, memory: int, disk: int, pods: int, gpus: list[Gpu]) -> dict[str, str]:
    """`status.capacity`; bytes become Ki, as a kubelet writes them."""
    resources = {
        "cpu": str(cpus),
        "memory": f"{memory // 1024}Ki",
        "ephemeral-storage": f"{disk // 1024}Ki",
        "pods": str(pods),
    }
    if gpus:
        resources[GPU] = str(len(gpus))
    return resources


def allocatable(capacity: dict[str, str], *, reserved_memory: int) -> dict[str, str]:
    """`status.allocatable`: all but the memory that the control plane and the node itself need."""
    memory = int(capacity["memory"].removesuffix("Ki")) - reserved_memory // 1024
    return {**capacity, "memory": f"{max(0, memory)}Ki"}


def node_labels(name: str, gpus: list[Gpu]) -> dict[str, str]:
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture(),
    }
    if gpus:
        labels[f"{GPU}.product"] = "".join(
            char if char.isalnum() or char in "-_." else "-" for char in gpus[0].product
        )[:63].strip("-_.")
    return labels


def conditions(former: list[dict[str, Any]], *, now: str, ready: bool = True) -> list[dict[str, Any]]:
    """`status.conditions`: the four of a kubelet. `former` gives the time of the last change."""
    before = {condition["type"]: condition for condition in former}
    result = []
    for kind, status, reason, message in _CONDITIONS:
        if kind == "Ready" and not ready:
            status, reason, message = "False", "KubeletNotReady", "the node was stopped"
        old = before.get(kind) or {}
        changed = old["lastTransitionTime"] if old.get("status") == status else now
        result.append(
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": now,
                "lastTransitionTime": changed,
            }
        )
    return result


class Registration:
    """Creates the objects of the node and keeps them up to date.

    `unavailable()` returns image name -> reason and may block.
    """

    def __init__(
        self,
        client: Client,
        *,
        name: str,
        host_ip: str,
        port: int,
        labels: dict[str, str],
        capacity: dict[str, str],
        allocatable: dict[str, str],
        node_info: dict[str, Any],
        unavailable: Callable[[], dict[str, str]],
    ):
        self._client = client
        self._name = name
        self._labels = labels
        self._unavailable = unavailable
        self._status: dict[str, Any] = {
            "capacity": capacity,
            "allocatable": allocatable,
            "addresses": [{"type": "InternalIP", "address": host_ip}, {"type": "Hostname", "address": name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            "declaredFeatures": DECLARED_FEATURES,
            "nodeInfo": node_info,
        }
        self._conditions: list[dict[str, Any]] = []
        self._written_unavailable: str | None = None
        self._registered = False

    async def register(self) -> None:
        """Returns once the Node exists and is Ready; tries until it succeeds."""
        while True:
            try:
                await self._write_node()
                break
            except ApiError as error:
                log.warning("the node cannot register yet, it tries again: %s", error)
            await asyncio.sleep(RETRY_INTERVAL)
        self._registered = True

    async def sign_off(self) -> None:
        """Sets the Node to not ready, if the API server still answers."""
        if self._registered:
            self._conditions = conditions(self._conditions, now=times.text(datetime.now(UTC)), ready=False)
            try:
                await self._patch_status({"conditions": self._conditions})
            except ApiError as error:
                log.info("the node could not sign off: %s", error)

    async def _write_node(self) -> None:
        unavailable = await self._unavailable_images()
        metadata = {"name": self._name, "labels": self._labels, "annotations": {UNAVAILABLE: unavailable}}
        status = {**self._status, "conditions": conditions([], now=times.text(datetime.now(UTC)))}
        body = {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": status}
        try:
            node = await self._client.create(NODES, body)
        except AlreadyExists:
            meta = {"labels": self._labels, "annotations": {UNAVAILABLE: unavailable}}
            node = await self._client.patch(NODES, self._name, {"metadata": meta})
            former = (node.get("status") or {}).get("conditions") or []
            status["conditions"] = conditions(former, now=times.text(datetime.now(UTC)))
            node = await self._patch_status(status)
        self._conditions = node["status"]["conditions"]
        self._written_unavailable = unavailable

    async def _patch_status(self, status: dict[str, Any]) -> dict[str, Any]:
        return await self._client.patch(NODES, self._name, {"status": status}, subresource="status", kind="strategic")

    async def _unavailable_images(self) -> str:
        return json.dumps(await asyncio.to_thread(self._unavailable), sort_keys=True)

    async def keep(self) -> None:
        """Renews the lease and the status until it is cancelled."""
        beats = 0
        while True:
            try:
                async with asyncio.timeout(BEAT_TIMEOUT):
                    await self._renew_lease()
                    await self._stay_ready()
                    if beats and beats % 6 == 0:
                        await self._heartbeat(full=beats % 30 == 0)
                beats += 1
                pause = RENEW_INTERVAL
            except (ApiError, TimeoutError) as error:
                log.warning("the node's lease could not be renewed: %s", error)
                pause = RETRY_INTERVAL
            await asyncio.sleep(pause)

    async def _renew_lease(self) -> None:
        now = times.micro_text(datetime.now(UTC))
        spec = {"holderIdentity": self._name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now}
        try:
            await self._client.patch(LEASES, self._name, {"spec": spec}, LEASE_NAMESPACE)
        except NotFound:
            node = await self._client.get(NODES, self._name)
            uid = node["metadata"]["uid"]
            owner = owner_reference(api_version="v1", kind="Node", name=self._name, uid=uid)
            metadata = {"name": self._name, "namespace": LEASE_NAMESPACE, "ownerReferences": [owner]}
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
            await self._client.create(LEASES, lease)

    async def _stay_ready(self) -> None:
        """Sets the Node to Ready again after the controller marked it as not ready for want of a lease."""
        try:
            node = await self._client.get(NODES, self._name)
        except NotFound:
            await self._write_node()
            return
        written = node["status"].get("conditions") or []
        if any(condition["type"] == "Ready" and condition["status"] != "True" for condition in written):
            self._conditions = conditions(written, now=times.text(datetime.now(UTC)))
            await self._patch_status({"conditions": self._conditions})
            log.info("the control plane took the node for dead; it is ready again")

    async def _heartbeat(self, *, full: bool) -> None:
        """Updates the images every minute and the conditions every five; creates the Node again if it is gone."""
        unavailable = await self._unavailable_images()
        try:
            if unavailable != self._written_unavailable:
                meta = {"annotations": {UNAVAILABLE: unavailable}}
                await self._client.patch(NODES, self._name, {"metadata": meta})
                self._written_unavailable = unavailable
            if full:
                self._conditions = conditions(self._conditions, now=times.text(datetime.now(UTC)))
                await self._patch_status({**self._status, "conditions": self._conditions})
        except NotFound:
            await self._write_node()
