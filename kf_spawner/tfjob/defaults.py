"""Reads a job's spec and fills in defaults, in memory only: a user's object is never changed."""

from dataclasses import dataclass, field
from typing import Any

from .names import CANONICAL_TYPE, CONTAINER, LEADERS, OURS, PORT, PORT_NAME, REPLICA_TYPES, WORKER

NEVER, ON_FAILURE, ALWAYS, EXIT_CODE = "Never", "OnFailure", "Always", "ExitCode"
RESTART_POLICIES = (NEVER, ON_FAILURE, ALWAYS, EXIT_CODE)
CLEAN_NONE, CLEAN_RUNNING, CLEAN_ALL, CLEAN_PS = "None", "Running", "All", "PS"
CLEAN_POLICIES = (CLEAN_NONE, CLEAN_RUNNING, CLEAN_ALL, CLEAN_PS)
ALL_WORKERS = "AllWorkers"
SUCCESS_POLICIES = ("", ALL_WORKERS)
OLD_PLACES = (
    "cleanPodPolicy",
    "ttlSecondsAfterFinished",
    "activeDeadlineSeconds",
    "backoffLimit",
)  # fields of the run policy that the versions before v1 had in the spec itself


@dataclass(frozen=True)
class Replica:
    """The replicas of one type; `template` is the user's pod template as it stands.

    `max_restarts` is for each replica, None: no limit. `claims` are the user's volumeClaimTemplates as they stand.
    """

    type: str
    count: int
    restart_policy: str
    template: dict[str, Any]
    max_restarts: int | None = None
    claims: tuple[dict[str, Any], ...] = ()

    @property
    def key(self) -> str:
        """The type as TF_CONFIG and names spell it."""
        return self.type.lower()


@dataclass(frozen=True)
class RunPolicy:
    """How long a job may run and which of its pods are kept. Times in seconds; None: no limit."""

    clean_pods: str = CLEAN_NONE
    ttl: int | None = None
    active_deadline: int | None = None
    backoff_limit: int | None = None
    start_deadline: int | None = None
    suspend: bool = False
    wait_for_evaluator: bool = False
    avoid_failed_nodes: bool = False
    managed_by: str = OURS


@dataclass(frozen=True)
class JobSpec:
    """A valid job's spec; `replicas` in the order of REPLICA_TYPES, types with no replica left out."""

    name: str
    namespace: str
    uid: str
    replicas: tuple[Replica, ...]
    run_policy: RunPolicy = field(default_factory=RunPolicy)
    success_policy: str = ""
    dynamic_workers: bool = False

    @property
    def leader(self) -> Replica | None:
        """The chief's or master's replica, where the job has one."""
        return next((replica for replica in self.replicas if replica.type in LEADERS), None)

    @property
    def worker(self) -> Replica | None:
        return next((replica for replica in self.replicas if replica.type == WORKER), None)

    @property
    def total(self) -> int:
        return sum(replica.count for replica in self.replicas)


def read_spec(job: dict[str, Any]) -> JobSpec:
    """The spec of a job that `validate` found nothing wrong with."""
    meta, spec = job["metadata"], job["spec"]
    by_type = {CANONICAL_TYPE[key.lower()]: value or {} for key, value in spec["tfReplicaSpecs"].items()}
    replicas = [_replica(name, by_type[name]) for name in REPLICA_TYPES if name in by_type]
    return JobSpec(
        name=meta["name"],
        namespace=meta["namespace"],
        uid=meta["uid"],
        replicas=tuple(replica for replica in replicas if replica.count),
        run_policy=read_run_policy(job),
        success_policy=spec.get("successPolicy") or "",
        dynamic_workers=bool(spec.get("enableDynamicWorker")),
    )


def read_run_policy(job: dict[str, Any]) -> RunPolicy:
    """The run policy, for an invalid job too: a value of the wrong type counts as absent."""
    policy = run_policy_of(job)
    clean = policy.get("cleanPodPolicy")
    return RunPolicy(
        clean_pods=clean if clean in CLEAN_POLICIES else CLEAN_NONE,
        ttl=_integer(policy.get("ttlSecondsAfterFinished")),
        active_deadline=_integer(policy.get("activeDeadlineSeconds")),
        backoff_limit=_integer(policy.get("backoffLimit")),
        start_deadline=_integer(policy.get("startDeadlineSeconds")),
        suspend=policy.get("suspend") is True,
        wait_for_evaluator=policy.get("waitForEvaluator") is True,
        avoid_failed_nodes=policy.get("avoidFailedNodes") is True,
        managed_by=policy.get("managedBy") or OURS,
    )


def run_policy_of(job: dict[str, Any]) -> dict[str, Any]:
    """The user's run policy. Fields that it lacks are read from the spec, where the versions before v1 had them."""
    spec = job.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    policy = spec.get("runPolicy")
    policy = policy if isinstance(policy, dict) else {}
    old = {name: spec[name] for name in OLD_PLACES if spec.get(name) is not None}
    return {**old, **{name: value for name, value in policy.items() if value is not None}}


def container_of(template: dict[str, Any]) -> dict[str, Any]:
    """The container named `tensorflow` of a valid pod template."""
    return next(container for container in template["spec"]["containers"] if container.get("name") == CONTAINER)


def port_of(replica: Replica) -> int:
    """The port of the replica's own TensorFlow server."""
    for port in container_of(replica.template).get("ports") or ():
        if port.get("name") == PORT_NAME:
            return int(port["containerPort"])
    return PORT


def _replica(name: str, value: dict[str, Any]) -> Replica:
    count = value.get("replicas")
    return Replica(
        type=name,
        count=1 if count is None else count,
        restart_policy=value.get("restartPolicy") or NEVER,
        template=value["template"],
        max_restarts=value.get("maxRestarts"),
        claims=tuple(value.get("volumeClaimTemplates") or ()),
    )


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
