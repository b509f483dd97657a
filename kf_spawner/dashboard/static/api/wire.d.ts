// Made by `make browser-types` from kf_spawner/workloads/wire.py; change that file.

export type ReplicaType = "Chief" | "Master" | "PS" | "Worker" | "Evaluator";

export type RestartPolicy = "Never" | "OnFailure" | "Always" | "ExitCode";

export type CleanPodPolicy = "None" | "Running" | "All" | "PS";

export type SuccessPolicy = "" | "AllWorkers";

export type JobState = "Pending" | "Created" | "Running" | "Restarting" | "Suspended" | "Succeeded" | "Failed" | "Deleted";

export type ReplicaState = "Pending" | "Waiting" | "Starting" | "Running" | "Succeeded" | "Failed" | "Unknown" | "Terminating" | "No pod" | "Waiting for a pod";

/** One field of a request that is wrong. */
export interface FieldProblem {
  field: string;
  message: string;
}

/** The answer to a refused request. `name`: the object that is in the way. */
export interface ErrorBody {
  reason: string;
  message: string;
  field?: string;
  name?: string;
  errors?: Array<FieldProblem>;
}

/** One replica that has a pod. `replica` is its name in the job, such as `worker-0`; `type` is in lower case. */
export interface ReplicaView {
  replica: string;
  type: string;
  index: number;
  pod: string | null;
  state: ReplicaState;
  reason: string;
  message: string;
  restarts: number;
  exit_code: number | null;
}

/** A job without its replicas. `wanted`: the number of replicas that the spec asks for, by type in lower case. */
export interface JobSummary {
  name: string;
  namespace: string;
  uid: string;
  created: string;
  started: string | null;
  completed: string | null;
  deleting: boolean;
  state: JobState;
  reason: string;
  message: string;
  wanted: Record<string, number>;
}

/** A job as the extension shows it. */
export interface JobView {
  name: string;
  namespace: string;
  uid: string;
  created: string;
  started: string | null;
  completed: string | null;
  deleting: boolean;
  state: JobState;
  reason: string;
  message: string;
  wanted: Record<string, number>;
  replicas: Array<ReplicaView>;
}

/** `manifest` is the TFJob as the Kubernetes API has it. */
export interface JobWithManifest {
  name: string;
  namespace: string;
  uid: string;
  created: string;
  started: string | null;
  completed: string | null;
  deleting: boolean;
  state: JobState;
  reason: string;
  message: string;
  wanted: Record<string, number>;
  replicas: Array<ReplicaView>;
  manifest: Record<string, unknown>;
}

/** A Kubernetes event. `object` is what it is about, as `Pod/mnist-worker-0`. */
export interface EventView {
  level: "Normal" | "Warning";
  reason: string;
  message: string;
  count: number;
  time: string | null;
  object: string;
}

/**
 * A line of one replica's log, without its newline. `time` is empty for a message that is not in the log.
 *
 * A line of more than 64 KiB comes in pieces, each with the line's time; all but the last have `continues`.
 *
 * `cursor` is where the log continues after this line; empty where `time` is. A request that names the last cursor
 * of each replica, each as an `after` parameter, gets the lines after them, and no line twice.
 */
export interface LogLine {
  replica: string;
  time: string;
  line: string;
  cursor: string;
  continues?: true;
}

export interface LogItem {
  replica: string;
  time: string;
  line: string;
  cursor: string;
  continues?: true;
  type: "log";
}

export interface StatusItem {
  name: string;
  namespace: string;
  uid: string;
  created: string;
  started: string | null;
  completed: string | null;
  deleting: boolean;
  state: JobState;
  reason: string;
  message: string;
  wanted: Record<string, number>;
  replicas: Array<ReplicaView>;
  type: "status";
}

export interface EventItem {
  level: "Normal" | "Warning";
  reason: string;
  message: string;
  count: number;
  time: string | null;
  object: string;
  type: "event";
}

/** The last item of a job's stream: how it ended; its `state` is Deleted if the job is gone. */
export interface EndItem {
  name: string;
  namespace: string;
  uid: string;
  created: string;
  started: string | null;
  completed: string | null;
  deleting: boolean;
  state: JobState;
  reason: string;
  message: string;
  wanted: Record<string, number>;
  replicas: Array<ReplicaView>;
  type: "end";
}

/** Sent when nothing else was sent for a while. */
export interface PingItem {
  type: "ping";
}

/** The last item of a stream that cannot continue. */
export interface ErrorItem {
  reason: string;
  message: string;
  field?: string;
  name?: string;
  errors?: Array<FieldProblem>;
  type: "error";
}

export type JobStreamItem = StatusItem | EventItem | LogItem | EndItem;

export interface ReplicaCounts {
  active: number;
  succeeded: number;
  failed: number;
}

/** A job in the list. */
export interface JobRow {
  name: string;
  namespace: string;
  uid: string;
  created: string;
  started: string | null;
  completed: string | null;
  deleting: boolean;
  state: JobState;
  reason: string;
  message: string;
  wanted: Record<string, number>;
  suspended: boolean;
  counts: ReplicaCounts;
}

/** The first item of the list's stream: all jobs, the newest first. */
export interface SnapshotItem {
  type: "snapshot";
  items: Array<JobRow>;
}

export interface ChangedItem {
  type: "changed";
  job: JobRow;
}

export interface RemovedItem {
  type: "removed";
  namespace: string;
  name: string;
  uid: string;
}

export type ListItem = SnapshotItem | ChangedItem | RemovedItem;

/** One replica, with or without a pod. `tf_config` is the object in the variable TF_CONFIG, if it is not long. */
export interface ReplicaDetail {
  replica: string;
  type: string;
  index: number;
  pod: string | null;
  state: ReplicaState;
  reason: string;
  message: string;
  restarts: number;
  exit_code: number | null;
  phase: string | null;
  node: string | null;
  ip: string | null;
  started: string | null;
  finished: string | null;
  image: string;
  tf_config: Record<string, unknown> | null;
}

/** `status` is True, False or Unknown, as a text. */
export interface ConditionView {
  type: string;
  status: string;
  reason: string;
  message: string;
  time: string | null;
}

/** `scalable`: the types, as the spec spells them, whose number may be changed. `policy`: spec.runPolicy. */
export interface JobDetail {
  name: string;
  namespace: string;
  uid: string;
  created: string;
  started: string | null;
  completed: string | null;
  deleting: boolean;
  state: JobState;
  reason: string;
  message: string;
  wanted: Record<string, number>;
  suspended: boolean;
  counts: ReplicaCounts;
  replicas: Array<ReplicaDetail>;
  conditions: Array<ConditionView>;
  events: Array<EventView>;
  policy: Record<string, unknown>;
  scalable: Record<string, number>;
  ended: boolean;
  yaml: string;
}

export interface JobItem {
  type: "job";
  job: JobDetail;
}

/** The last item: the job was deleted. */
export interface GoneItem {
  type: "gone";
}

export type JobPageItem = JobItem | GoneItem;

/** Among the log lines: the states of the replicas, by name, whenever one changes. */
export interface ReplicaStatesItem {
  type: "states";
  replicas: Record<string, ReplicaState>;
}

/** The last item of a log: the job's state. */
export interface LogEndItem {
  type: "end";
  state: JobState | "";
}

export type LogStreamItem = LogItem | ReplicaStatesItem | LogEndItem;

export interface UserNamespace {
  name: string;
  user: string;
}

/** Who is logged in. `namespace` is the user's own, `ready` whether it is there yet. */
export interface User {
  name: string;
  admin: boolean;
  namespace: string;
  ready: boolean;
  namespaces: Array<UserNamespace>;
  version: string;
}

/** A volume claim that a job can mount; `size` is a Kubernetes quantity. */
export interface Claim {
  name: string;
  phase: string;
  size: string;
}

export interface ImageChoice {
  reference: string;
  title: string;
  description: string;
  gpu: boolean;
}

export interface NamespaceChoices {
  namespace: string;
  ready: boolean;
  claims: Array<Claim>;
}

/** What the create form offers in one namespace. `home_mount` is the path of a home volume in a pod. */
export interface FormMetadata {
  namespace: string;
  ready: boolean;
  claims: Array<Claim>;
  home_mount: string;
  images: Array<ImageChoice>;
  replica_types: Array<ReplicaType>;
  restart_policies: Array<RestartPolicy>;
  clean_pod_policies: Array<CleanPodPolicy>;
  success_policies: Array<SuccessPolicy>;
}

/** The TFJob that a form or a text would create, and the same as YAML. */
export interface PlannedJob {
  manifest: Record<string, unknown>;
  yaml: string;
}

/** A deletion that has begun: the job exists until its pods are gone. */
export interface Deletion {
  name: string;
  deleting: true;
  namespace?: string;
}
