"""Manifests of a replica's pod, of its headless service and of its volume claims."""

import functools
from collections.abc import Collection, Iterable
from typing import Any

from .defaults import EXIT_CODE, NEVER, JobSpec, Replica, container_of, port_of
from .names import (
    INDEX_LABEL,
    JOB_LABEL,
    OPERATOR_LABEL,
    OPERATOR_NAME,
    PORT,
    PORT_NAME,
    ROLE_LABEL,
    TYPE_LABEL,
    WORKER,
    child_name,
)
from .ownership import owner_reference
from .podgroup import Gang
from .tf_config import TfConfigs

TF_CONFIG = "TF_CONFIG"


class Children:
    """Makes the manifests of one job's children."""

    def __init__(self, spec: JobSpec, *, cluster_domain: str = "", gang: Gang | None = None):
        self._spec, self._cluster_domain, self._gang = spec, cluster_domain, gang

    @functools.cached_property
    def _tf_configs(self) -> TfConfigs:
        """Made once for all pods, and only if there is a pod to make."""
        return TfConfigs(self._spec, cluster_domain=self._cluster_domain)

    def pod(self, replica: Replica, index: int, *, avoid: Collection[str] = ()) -> dict[str, Any]:
        """The manifest of a pod. It prefers other nodes than those in `avoid`."""
        template = replica.template
        spec = dict(template["spec"])
        spec["restartPolicy"] = NEVER if replica.restart_policy == EXIT_CODE else replica.restart_policy
        ours = container_of(template)
        spec["containers"] = [
            self._container(container, replica, index) if container is ours else container
            for container in spec["containers"]
        ]
        if replica.claims:
            spec["volumes"] = self._volumes(spec.get("volumes") or (), replica, index)
        if avoid:
            spec["affinity"] = _away_from(avoid, spec.get("affinity") or {})
        metadata = self._metadata_like(template.get("metadata") or {}, replica, index)
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        if self._gang:
            self._gang.add_pod(pod, job_name=self._spec.name, task=replica.key)
        return pod

    def service(self, replica: Replica, index: int) -> dict[str, Any]:
        """The headless service whose name is the replica's address. It resolves before the pod is ready."""
        ports = {PORT_NAME: port_of(replica)}
        for port in container_of(replica.template).get("ports") or ():
            if port.get("name"):
                ports.setdefault(port["name"], port["containerPort"])
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self._metadata(replica, index, labels={}),
            "spec": {
                "clusterIP": "None",
                "publishNotReadyAddresses": True,
                "selector": self._identity(replica, index),
                "ports": [{"name": name, "port": number} for name, number in ports.items()],
            },
        }

    def claims(self, replica: Replica, index: int) -> list[dict[str, Any]]:
        """The volume claims of this replica. They are kept while its pod is replaced."""
        return [
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {
                    **self._metadata_like(claim["metadata"], replica, index),
                    "name": self._claim_name(claim, replica, index),
                },
                "spec": claim["spec"],
            }
            for claim in replica.claims
        ]

    def claim_names(self, replica: Replica, index: int) -> list[str]:
        """The names of `claims`."""
        return [self._claim_name(claim, replica, index) for claim in replica.claims]

    def _claim_name(self, claim: dict[str, Any], replica: Replica, index: int) -> str:
        """As a StatefulSet names them: `data-mnist-worker-0`."""
        return f"{claim['metadata']['name']}-{child_name(self._spec.name, replica.type, index)}"

    def _volumes(self, given: Iterable[dict[str, Any]], replica: Replica, index: int) -> list[dict[str, Any]]:
        """The volumes with one for each claim, which replaces a volume of the same name."""
        claims = {claim["metadata"]["name"]: self._claim_name(claim, replica, index) for claim in replica.claims}
        return [
            *(volume for volume in given if volume.get("name") not in claims),
            *({"name": name, "persistentVolumeClaim": {"claimName": claim}} for name, claim in claims.items()),
        ]

    def _container(self, container: dict[str, Any], replica: Replica, index: int) -> dict[str, Any]:
        container = dict(container)
        ports = list(container.get("ports") or ())
        if all(port.get("name") != PORT_NAME for port in ports):
            container["ports"] = [*ports, {"name": PORT_NAME, "containerPort": PORT}]
        value = self._tf_configs.of(replica, index)
        if value is not None:
            env = [entry for entry in container.get("env") or () if entry.get("name") != TF_CONFIG]
            container["env"] = [*env, {"name": TF_CONFIG, "value": value}]
        return container

    def _metadata_like(self, given: dict[str, Any], replica: Replica, index: int) -> dict[str, Any]:
        """With the user's own labels and annotations."""
        metadata = self._metadata(replica, index, labels=given.get("labels") or {})
        if given.get("annotations"):
            metadata["annotations"] = dict(given["annotations"])
        return metadata

    def _metadata(self, replica: Replica, index: int, *, labels: dict[str, Any]) -> dict[str, Any]:
        spec = self._spec
        role = {ROLE_LABEL: "master"} if self._leads(replica, index) else {}
        return {
            "name": child_name(spec.name, replica.type, index),
            "namespace": spec.namespace,
            "labels": {**labels, **self._identity(replica, index), **role},
            "ownerReferences": [owner_reference(spec.name, spec.uid)],
        }

    def _leads(self, replica: Replica, index: int) -> bool:
        """Clients read a job's log from the replica with this role."""
        leader = self._spec.leader
        return replica is leader or (leader is None and replica.type == WORKER and index == 0)

    def _identity(self, replica: Replica, index: int) -> dict[str, str]:
        return {
            OPERATOR_LABEL: OPERATOR_NAME,
            JOB_LABEL: self._spec.name,
            TYPE_LABEL: replica.key,
            INDEX_LABEL: str(index),
        }


def _away_from(nodes: Collection[str], given: dict[str, Any]) -> dict[str, Any]:
    """The affinity `given`, which also prefers all other nodes."""
    of_nodes = given.get("nodeAffinity") or {}
    fields = [{"key": "metadata.name", "operator": "NotIn", "values": [node]} for node in nodes]
    preferred = [
        *(of_nodes.get("preferredDuringSchedulingIgnoredDuringExecution") or ()),
        {"weight": 100, "preference": {"matchFields": fields}},
    ]
    return {**given, "nodeAffinity": {**of_nodes, "preferredDuringSchedulingIgnoredDuringExecution": preferred}}
