"""The TFJob kind and the operator that acts on it. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from kf_spawner.k8s import conditions, times
from kf_spawner.tfjob import names

from .findings import Finding, error, quoting, warning
from .platform import OURS

CRD = f"{names.TFJOBS.plural}.{names.GROUP}"
LEASE = "kf-spawner-operator"
MANIFEST = "kf_spawner/manifests/tfjobs-crd.yaml"
UNSEEN = 60.0
"""Seconds until a job without a status counts as unseen."""
_SHOW = f"kubectl get customresourcedefinition {CRD} --output yaml"
_UPDATE = (
    "Install or upgrade the chart of this version (with --take-ownership where Helm did not make the kind); "
    f"without the chart: 'kubectl apply --server-side --force-conflicts --filename {MANIFEST}'."
)
_TWO = "If another TFJob operator runs here, such as Kubeflow's, remove one of the two. "
_TIMES_LATE = 3  # lease durations
_NAMED = 3  # jobs and differences that are named one by one


def crd(installed: dict[str, Any] | None, *, ours: dict[str, Any], platform: bool) -> list[Finding]:
    """Compares the cluster's definition with `ours`. A newer one may add to ours, but not contradict it.

    `platform`: whether the platform is installed; before that the definition may be missing.
    """
    if installed is None:
        if not platform:
            return []
        cause = f"The cluster has no kind TFJob: the CustomResourceDefinition {CRD} is missing."
        return [error("crd", cause, remedy=_UPDATE, command="kubectl get customresourcedefinitions")]
    for kind in ("NamesAccepted", "Established"):
        state = conditions.find(installed.get("status"), kind)
        if state.get("status") == "False":
            cause = quoting("The API server does not serve TFJobs.", state.get("message", ""))
            remedy = "Another definition may use the same names: delete that one."
            return [error("crd", cause, remedy=remedy, command=_SHOW)]
    differences = list(_differences(ours["spec"], installed["spec"], "spec"))
    if not differences:
        return []
    labels = installed["metadata"].get("labels") or {}
    is_ours = OURS.items() <= labels.items()
    whose = "of another version of this product" if is_ours else "made by another program"
    rest = f" and {len(differences) - _NAMED} more" if len(differences) > _NAMED else ""
    cause = f"The CustomResourceDefinition {CRD} is {whose}: it differs in {', '.join(differences[:_NAMED])}{rest}."
    return [error("crd", cause, remedy=_UPDATE if is_ours else _TWO + _UPDATE, command=_SHOW)]


def operator(
    deployments: Iterable[dict[str, Any]],
    lease: dict[str, Any] | None,
    jobs: Iterable[dict[str, Any]],
    *,
    platform: bool,
    now: datetime,
) -> list[Finding]:
    """`deployments`: the operator's; `lease`: its Lease, if there is one; `jobs`: all TFJobs."""
    found = _of_deployments(list(deployments)) if platform else []
    return found or _of_lease(lease, now) or _of_jobs(jobs, now)


def _of_deployments(deployments: list[dict[str, Any]]) -> list[Finding]:
    if not deployments:
        cause = "The operator is not installed: nothing runs TFJobs."
        return [error("operator", cause, remedy="Upgrade the chart with its values.", command="helm list")]
    down = [item for item in deployments if not (item.get("status") or {}).get("readyReplicas")]
    if len(down) < len(deployments):
        return []
    name, namespace = down[0]["metadata"]["name"], down[0]["metadata"]["namespace"]
    if down[0]["spec"].get("replicas") == 0:
        cause = f"The operator is turned off: Deployment {namespace}/{name} is scaled to 0 replicas."
        remedy = f"Turn it on: 'kubectl scale deployment {name} --namespace {namespace} --replicas 2'."
    else:
        cause = f"The operator is down: no pod of Deployment {namespace}/{name} is ready, so nothing runs TFJobs."
        remedy = "The findings about its pods say why; if there are none, its log does."
    command = f"kubectl logs deployment/{name} --namespace {namespace} --tail 50"
    return [error("operator", cause, remedy=remedy, command=command)]


def _of_lease(lease: dict[str, Any] | None, now: datetime) -> list[Finding]:
    spec = (lease or {}).get("spec") or {}
    if lease is None or not spec.get("holderIdentity") or not spec.get("renewTime"):
        return []
    silent = (now - times.parse(spec["renewTime"])).total_seconds()
    if silent < _TIMES_LATE * spec.get("leaseDurationSeconds", 15):
        return []
    namespace = lease["metadata"]["namespace"]
    cause = f"No operator leads: {spec['holderIdentity']} led last, {silent:.0f} seconds ago, and no other took over."
    remedy = "Start the operator again; its log says whether it cannot reach the API server."
    command = f"kubectl get lease {lease['metadata']['name']} --namespace {namespace} --output yaml"
    return [error("operator", cause, remedy=remedy, command=command)]


def _of_jobs(jobs: Iterable[dict[str, Any]], now: datetime) -> list[Finding]:
    unseen = [job["metadata"] for job in jobs if _is_unseen(job, now)]
    if not unseen:
        return []
    listed = ", ".join(f"{meta['namespace']}/{meta['name']}" for meta in unseen[:_NAMED])
    rest = f" and {len(unseen) - _NAMED} more" if len(unseen) > _NAMED else ""
    return [
        warning(
            "operator",
            f"No operator has processed these TFJobs: {listed}{rest}.",
            remedy="Start the operator; if it watches one namespace only, these jobs are in another.",
            command=f"kubectl describe tfjob {unseen[0]['name']} --namespace {unseen[0]['namespace']}",
        )
    ]


def _is_unseen(job: dict[str, Any], now: datetime) -> bool:
    managed_by = ((job.get("spec") or {}).get("runPolicy") or {}).get("managedBy")
    age = times.age(job, now).total_seconds()
    return age > UNSEEN and not (job.get("status") or {}).get("conditions") and managed_by in (None, names.OURS)


def _differences(ours: object, theirs: object, path: str) -> Iterator[str]:
    """The paths at which `theirs` lacks or contradicts `ours`. Lists of named things are compared by name."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key not in theirs:
                yield f"{path}.{key}"
            else:
                yield from _differences(value, theirs[key], f"{path}.{key}")
    elif _is_named(ours) and isinstance(theirs, list):
        known = {item["name"]: item for item in theirs}
        for item in ours:  # type: ignore[attr-defined]
            where = f"{path}[{item['name']}]"
            if item["name"] in known:
                yield from _differences(item, known[item["name"]], where)
            else:
                yield where
    elif ours != theirs:
        yield path


def _is_named(value: object) -> bool:
    return (
        isinstance(value, list) and bool(value) and all(isinstance(item, dict) and "name" in item for item in value)
    )
