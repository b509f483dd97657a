"""The job's cluster as TensorFlow sees it: addresses of the tasks and the TF_CONFIG of each one."""

import json
from typing import Any

from .defaults import JobSpec, Replica, port_of
from .names import EVALUATOR, PS, WORKER, child_name


def address(spec: JobSpec, replica: Replica, index: int, *, cluster_domain: str = "") -> str:
    """`mnist-worker-0.kf-admin.svc:2222`; `cluster_domain` is appended to the host where it is set."""
    suffix = f".{cluster_domain}" if cluster_domain else ""
    return f"{child_name(spec.name, replica.type, index)}.{spec.namespace}.svc{suffix}:{port_of(replica)}"


def cluster_of(spec: JobSpec, *, cluster_domain: str = "") -> dict[str, list[str]]:
    """Task type to addresses. The evaluator is not in it: TensorFlow wants it to stand outside."""
    return {
        replica.key: [address(spec, replica, index, cluster_domain=cluster_domain) for index in range(replica.count)]
        for replica in spec.replicas
        if replica.type != EVALUATOR
    }


def tf_config(spec: JobSpec, replica: Replica, index: int, *, cluster: dict[str, list[str]]) -> str | None:
    """The value of TF_CONFIG for one replica, with `cluster` from `cluster_of`; None for a job of one replica."""
    if spec.total == 1:
        return None
    task = {"type": replica.key, "index": index}
    if spec.dynamic_workers and replica.type == WORKER:
        seen = {**cluster, WORKER.lower(): {str(index): cluster[WORKER.lower()][index]}}
        seen.setdefault(PS.lower(), [])
        return _dump({"cluster": seen, "task": task})
    return _dump({"cluster": cluster, "task": task, "environment": "cloud"})


def _dump(value: dict[str, Any]) -> str:
    return json.dumps({**value, "cluster": dict(sorted(value["cluster"].items()))}, separators=(",", ":"))
