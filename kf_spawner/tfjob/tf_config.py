"""The job's cluster as TensorFlow sees it: addresses of the tasks and the TF_CONFIG of each one."""

import json
from typing import Any

from .defaults import JobSpec, Replica, port_of
from .names import EVALUATOR, PS, WORKER, child_name


def addresses(spec: JobSpec, replica: Replica, *, cluster_domain: str = "") -> list[str]:
    """`mnist-worker-0.kf-admin.svc:2222` by index; `cluster_domain` is appended to the host where it is set."""
    suffix = f".{cluster_domain}" if cluster_domain else ""
    domain = f".{spec.namespace}.svc{suffix}:{port_of(replica)}"
    return [child_name(spec.name, replica.type, index) + domain for index in range(replica.count)]


def cluster_of(spec: JobSpec, *, cluster_domain: str = "") -> dict[str, list[str]]:
    """Task type to addresses, in order of type. TensorFlow wants the evaluator to stand outside."""
    return {
        replica.key: addresses(spec, replica, cluster_domain=cluster_domain)
        for replica in sorted(spec.replicas, key=lambda replica: replica.key)
        if replica.type != EVALUATOR
    }


class TfConfigs:
    """Makes the TF_CONFIG of each replica of a job. The text of the cluster, the same for all, is made once."""

    def __init__(self, spec: JobSpec, *, cluster_domain: str = ""):
        self._spec = spec
        self._cluster = cluster_of(spec, cluster_domain=cluster_domain)
        self._text = _dump(self._cluster)

    def of(self, replica: Replica, index: int) -> str | None:
        """The value of TF_CONFIG; None for a job of one replica."""
        if self._spec.total == 1:
            return None
        task = _dump({"type": replica.key, "index": index})
        if self._spec.dynamic_workers and replica.type == WORKER:
            worker, ps = WORKER.lower(), PS.lower()
            seen = {ps: [], **self._cluster, worker: {str(index): self._cluster[worker][index]}}
            return f'{{"cluster":{_dump(dict(sorted(seen.items())))},"task":{task}}}'
        return f'{{"cluster":{self._text},"task":{task},"environment":"cloud"}}'


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))
