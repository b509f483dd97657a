"""The JSON that crosses a room: what the REST interfaces of extension and dashboard answer and stream.

Times are RFC 3339 texts as the Kubernetes API gives them, None where there is none yet. The types of the browser's
scripts are generated from this file: keep to TypedDict, Literal, list, dict, `| None` and NotRequired.
"""

from typing import Any, Literal, NotRequired, TypedDict

ReplicaType = Literal["Chief", "Master", "PS", "Worker", "Evaluator"]
RestartPolicy = Literal["Never", "OnFailure", "Always", "ExitCode"]
CleanPodPolicy = Literal["None", "Running", "All", "PS"]
SuccessPolicy = Literal["", "AllWorkers"]
JobState = Literal["Pending", "Created", "Running", "Restarting", "Suspended", "Succeeded", "Failed", "Deleted"]
ReplicaState = Literal[
    "Pending",
    "Waiting",
    "Starting",
    "Running",
    "Succeeded",
    "Failed",
    "Unknown",
    "Terminating",
    "No pod",
    "Waiting for a pod",
]


# Errors


class FieldProblem(TypedDict):
    """One field of a request that is wrong."""

    field: str
    message: str


class ErrorBody(TypedDict):
    """The answer to a refused request. `name`: the object that is in the way."""

    reason: str
    message: str
    field: NotRequired[str]
    name: NotRequired[str]
    errors: NotRequired[list[FieldProblem]]


# Jobs


class ReplicaView(TypedDict):
    """One replica that has a pod. `replica` is its name in the job, such as `worker-0`; `type` is in lower case."""

    replica: str
    type: str
    index: int
    pod: str | None
    state: ReplicaState
    reason: str
    message: str
    restarts: int
    exit_code: int | None


class JobSummary(TypedDict):
    """A job without its replicas. `wanted`: the number of replicas that the spec asks for, by type in lower case."""

    name: str
    namespace: str
    uid: str
    created: str
    started: str | None
    completed: str | None
    deleting: bool
    state: JobState
    reason: str
    message: str
    wanted: dict[str, int]


class JobView(JobSummary):
    """A job as the extension shows it."""

    replicas: list[ReplicaView]


class JobWithManifest(JobView):
    """`manifest` is the TFJob as the Kubernetes API has it."""

    manifest: dict[str, Any]


class EventView(TypedDict):
    """A Kubernetes event. `object` is what it is about, as `Pod/mnist-worker-0`."""

    level: Literal["Normal", "Warning"]
    reason: str
    message: str
    count: int
    time: str | None
    object: str


# Streams: one JSON object a line


class LogLine(TypedDict):
    """A line of one replica's log, without its newline. `time` is empty for a message that is not in the log.

    A line of more than 64 KiB comes in pieces, each with the line's time; all but the last have `continues`.

    `cursor` is where the log continues after this line; empty where `time` is. A request that names the last cursor
    of each replica, each as an `after` parameter, gets the lines after them, and no line twice.
    """

    replica: str
    time: str
    line: str
    cursor: str
    continues: NotRequired[Literal[True]]


class LogItem(LogLine):
    type: Literal["log"]


class StatusItem(JobView):
    type: Literal["status"]


class EventItem(EventView):
    type: Literal["event"]


class EndItem(JobView):
    """The last item of a job's stream: how it ended; its `state` is Deleted if the job is gone."""

    type: Literal["end"]


class PingItem(TypedDict):
    """Sent when nothing else was sent for a while."""

    type: Literal["ping"]


class ErrorItem(ErrorBody):
    """The last item of a stream that cannot continue."""

    type: Literal["error"]


JobStreamItem = StatusItem | EventItem | LogItem | EndItem


# The dashboard's list of jobs


class ReplicaCounts(TypedDict):
    active: int
    succeeded: int
    failed: int


class JobRow(JobSummary):
    """A job in the list."""

    suspended: bool
    counts: ReplicaCounts


class SnapshotItem(TypedDict):
    """The first item of the list's stream: all jobs, the newest first."""

    type: Literal["snapshot"]
    items: list[JobRow]


class ChangedItem(TypedDict):
    type: Literal["changed"]
    job: JobRow


class RemovedItem(TypedDict):
    type: Literal["removed"]
    namespace: str
    name: str
    uid: str


ListItem = SnapshotItem | ChangedItem | RemovedItem


# The dashboard's page of one job


class ReplicaDetail(ReplicaView):
    """One replica, with or without a pod. `tf_config` is the object in the variable TF_CONFIG, if it is not long."""

    phase: str | None
    node: str | None
    ip: str | None
    started: str | None
    finished: str | None
    image: str
    tf_config: dict[str, Any] | None


class ConditionView(TypedDict):
    """`status` is True, False or Unknown, as a text."""

    type: str
    status: str
    reason: str
    message: str
    time: str | None


class JobDetail(JobRow):
    """`scalable`: the types, as the spec spells them, whose number may be changed. `policy`: spec.runPolicy."""

    replicas: list[ReplicaDetail]
    conditions: list[ConditionView]
    events: list[EventView]
    policy: dict[str, Any]
    scalable: dict[str, int]
    ended: bool
    yaml: str


class JobItem(TypedDict):
    type: Literal["job"]
    job: JobDetail


class GoneItem(TypedDict):
    """The last item: the job was deleted."""

    type: Literal["gone"]


JobPageItem = JobItem | GoneItem


class ReplicaStatesItem(TypedDict):
    """Among the log lines: the states of the replicas, by name, whenever one changes."""

    type: Literal["states"]
    replicas: dict[str, ReplicaState]


class LogEndItem(TypedDict):
    """The last item of a log: the job's state."""

    type: Literal["end"]
    state: JobState | Literal[""]


LogStreamItem = LogItem | ReplicaStatesItem | LogEndItem


# The dashboard's forms


class UserNamespace(TypedDict):
    name: str
    user: str


class User(TypedDict):
    """Who is logged in. `namespace` is the user's own, `ready` whether it is there yet."""

    name: str
    admin: bool
    namespace: str
    ready: bool
    namespaces: list[UserNamespace]
    version: str


class Claim(TypedDict):
    """A volume claim that a job can mount; `size` is a Kubernetes quantity."""

    name: str
    phase: str
    size: str


class ImageChoice(TypedDict):
    reference: str
    title: str
    description: str
    gpu: bool


class NamespaceChoices(TypedDict):
    namespace: str
    ready: bool
    claims: list[Claim]


class FormMetadata(NamespaceChoices):
    """What the create form offers in one namespace. `home_mount` is the path of a home volume in a pod."""

    home_mount: str
    images: list[ImageChoice]
    replica_types: list[ReplicaType]
    restart_policies: list[RestartPolicy]
    clean_pod_policies: list[CleanPodPolicy]
    success_policies: list[SuccessPolicy]


class PlannedJob(TypedDict):
    """The TFJob that a form or a text would create, and the same as YAML."""

    manifest: dict[str, Any]
    yaml: str


class Deletion(TypedDict):
    """A deletion that has begun: the job exists until its pods are gone."""

    name: str
    deleting: Literal[True]
    namespace: NotRequired[str]
