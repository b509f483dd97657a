"""A TFJob as the dashboard shows it: a row of the list, and the page of one job. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import yaml

from kf_spawner.tfjob.children import TF_CONFIG
from kf_spawner.tfjob.names import CANONICAL_TYPE, CONTAINER, LEADERS, REPLICA_TYPES
from kf_spawner.workloads.job_view import (
    TERMINAL,
    by_object,
    event_view,
    events_about,
    job_summary,
    replica_name,
    replica_view,
    wanted_replicas,
)
from kf_spawner.workloads.submission import SUBMISSION
from kf_spawner.workloads.wire import ConditionView, JobDetail, JobRow, ReplicaDetail

SHORT = 20_000
"""Characters of JSON of a manifest that Python writes as YAML in a tenth of a second."""
TF_CONFIG_LIMIT = 8192
"""Characters of a TF_CONFIG that is shown. Each replica's has all others, so those of a large job are too much."""
NO_POD: Final = "No pod"
NO_POD_YET: Final = "Waiting for a pod"
SERVERS_OWN = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")
NOT_THE_USERS = ("kubectl.kubernetes.io/last-applied-configuration", SUBMISSION)
ORDER = [kind.lower() for kind in REPLICA_TYPES]


def row(job: dict[str, Any]) -> JobRow:
    """A job in the list, with the counts of its replicas from the status."""
    spec, status = job.get("spec") or {}, job.get("status") or {}
    counts = [value or {} for value in (status.get("replicaStatuses") or {}).values()]
    return {
        **job_summary(job),
        "suspended": (spec.get("runPolicy") or {}).get("suspend") is True,
        "counts": {
            "active": _sum(counts, "active"),
            "succeeded": _sum(counts, "succeeded"),
            "failed": _sum(counts, "failed"),
        },
    }


def rows(jobs: Iterable[dict[str, Any]]) -> list[JobRow]:
    """The jobs in the list, the newest first."""
    return sorted(map(row, jobs), key=lambda view: view["created"], reverse=True)


def _sum(counts: list[dict[str, Any]], key: str) -> int:
    return sum(one.get(key) or 0 for one in counts)


def detail(job: dict[str, Any], pods: list[dict[str, Any]], events: list[dict[str, Any]]) -> JobDetail:
    """The page of a job. `pods` are the job's; `events` are about it and them, the oldest first.

    A large job takes long: call it in a thread.
    """
    base = row(job)
    ended = has_ended(job)
    return {
        **base,
        "replicas": _replicas(job, pods, by_object(events), ended=ended),
        "conditions": [_condition(one) for one in (job.get("status") or {}).get("conditions") or []],
        "events": [event_view(event) for event in events],
        "policy": (job.get("spec") or {}).get("runPolicy") or {},
        "scalable": {} if ended else scalable(job),
        "ended": ended,
        "yaml": as_yaml(manifest(job)),
    }


def detail_of_lists(job: dict[str, Any], pods: list[dict[str, Any]], events: Iterable[dict[str, Any]]) -> JobDetail:
    """The same, where `events` may be about anything in the namespace."""
    uids = {obj["metadata"]["uid"] for obj in (job, *pods)}
    return detail(job, pods, events_about(uids, events))


def has_ended(job: dict[str, Any]) -> bool:
    """Whether the job has ended for good."""
    conditions = (job.get("status") or {}).get("conditions") or []
    return any(one.get("type") in TERMINAL and one.get("status") == "True" for one in conditions)


def scalable(job: dict[str, Any]) -> dict[str, int]:
    """The types, as the spec spells them, whose number of replicas may be changed, with the number now."""
    specs = (job.get("spec") or {}).get("tfReplicaSpecs") or {}
    counts = {kind: (value or {}).get("replicas") for kind, value in specs.items()}
    return {
        kind: 1 if count is None else count
        for kind, count in counts.items()
        if CANONICAL_TYPE.get(kind.lower()) not in (None, *LEADERS)
    }


def manifest(job: dict[str, Any]) -> dict[str, Any]:
    """The manifest as a user would write it: without the status and the fields that the API server adds."""
    meta = {key: value for key, value in job["metadata"].items() if key not in SERVERS_OWN}
    notes = {key: value for key, value in (meta.pop("annotations", None) or {}).items() if key not in NOT_THE_USERS}
    if notes:
        meta["annotations"] = notes
    meta.pop("deletionTimestamp", None)
    meta.pop("deletionGracePeriodSeconds", None)
    meta.pop("finalizers", None)
    return {"apiVersion": job["apiVersion"], "kind": job["kind"], "metadata": meta, "spec": job.get("spec") or {}}


def as_yaml(value: Any) -> str:
    """YAML for people: keys in their order, texts of several lines as blocks.

    libyaml is ten times as fast as Python, but writes characters beyond U+FFFF, such as emoji, as escapes.
    """
    dumper = _Dumper if len(json.dumps(value)) <= SHORT else _FastDumper
    return yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=1000)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, _data: Any) -> bool:
        return True


class _FastDumper(yaml.CSafeDumper):
    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: Any, value: str) -> yaml.Node:
    node: yaml.Node = dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)
    return node


_Dumper.add_representer(str, _text)
_FastDumper.add_representer(str, _text)


def _replicas(
    job: dict[str, Any], pods: list[dict[str, Any]], events: Mapping[str, list[dict[str, Any]]], *, ended: bool
) -> list[ReplicaDetail]:
    """Every replica that the spec wants, and every one that has a pod."""
    tasks = (job.get("status") or {}).get("tasks") or {}
    found = {name: _with_pod(pod, events) for pod in pods if (name := replica_name(pod)) is not None}
    for name, kind, index in _wanted(job):
        if name not in found:
            found[name] = _without_pod(kind, index, ended=ended)
    for name, view in found.items():
        task = tasks.get(name)
        view["restarts"] += (task.get("restarts") or 0) if isinstance(task, dict) else 0
    return sorted(found.values(), key=_order)


def _wanted(job: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    """(name, type, index) of each replica that the spec wants."""
    for kind, count in wanted_replicas(job).items():
        yield from ((f"{kind}-{index}", kind, index) for index in range(count))


def replica_names(job: dict[str, Any], pods: list[dict[str, Any]]) -> list[str]:
    """The names of the replicas that `detail` has."""
    return list(dict.fromkeys([*filter(None, map(replica_name, pods)), *(name for name, _, _ in _wanted(job))]))


def _order(view: ReplicaDetail) -> tuple[int, int]:
    kind = view["type"]
    return (ORDER.index(kind) if kind in ORDER else len(ORDER), view["index"])


def _with_pod(pod: dict[str, Any], events: Mapping[str, list[dict[str, Any]]]) -> ReplicaDetail:
    status, spec = pod.get("status") or {}, pod["spec"]
    container = next((one for one in spec["containers"] if one["name"] == CONTAINER), spec["containers"][0])
    states = [one.get("state") or {} for one in status.get("containerStatuses") or [] if one["name"] == CONTAINER]
    state = states[0] if states else {}
    at = state.get("terminated") or state.get("running") or {}
    return {
        **replica_view(pod, events),
        "phase": status.get("phase", "Pending"),
        "node": spec.get("nodeName"),
        "ip": status.get("podIP"),
        "started": at.get("startedAt") or status.get("startTime"),
        "finished": at.get("finishedAt"),
        "image": container.get("image", ""),
        "tf_config": _tf_config(container),
    }


def _without_pod(kind: str, index: int, *, ended: bool) -> ReplicaDetail:
    return {
        "replica": f"{kind}-{index}",
        "type": kind,
        "index": index,
        "pod": None,
        "state": NO_POD if ended else NO_POD_YET,
        "phase": None,
        "reason": "",
        "message": "",
        "restarts": 0,
        "exit_code": None,
        "node": None,
        "ip": None,
        "started": None,
        "finished": None,
        "image": "",
        "tf_config": None,
    }


def _tf_config(container: dict[str, Any]) -> dict[str, Any] | None:
    """The replica's TF_CONFIG; None if it has none, if it is too long, or if it is not a JSON object."""
    text = next((entry.get("value") for entry in container.get("env") or [] if entry.get("name") == TF_CONFIG), None)
    if text and len(text) > TF_CONFIG_LIMIT:
        return None
    try:
        value = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _condition(condition: dict[str, Any]) -> ConditionView:
    return {
        "type": condition.get("type", ""),
        "status": condition.get("status", ""),
        "reason": condition.get("reason", ""),
        "message": condition.get("message", ""),
        "time": condition.get("lastTransitionTime"),
    }
