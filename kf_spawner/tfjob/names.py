"""Names of the TFJob API: kind, replica types, labels, names of children."""

from kf_spawner.k8s.metadata import selector
from kf_spawner.k8s.resources import Resource

GROUP = "kubeflow.org"
VERSION = "v1"
OLD_VERSIONS = ("v1beta2", "v1beta1", "v1alpha2")
KIND = "TFJob"
TFJOBS = Resource(GROUP, VERSION, "tfjobs", KIND)
API_VERSION = TFJOBS.api_version

CHIEF, MASTER, PS, WORKER, EVALUATOR = "Chief", "Master", "PS", "Worker", "Evaluator"
REPLICA_TYPES = (CHIEF, MASTER, PS, WORKER, EVALUATOR)
LEADERS = (CHIEF, MASTER)
CANONICAL_TYPE = {name.lower(): name for name in REPLICA_TYPES}

CONTAINER = "tensorflow"
PORT_NAME = "tfjob-port"
PORT = 2222

LABEL_PREFIX = "training.kubeflow.org/"
OPERATOR_LABEL = LABEL_PREFIX + "operator-name"
JOB_LABEL = LABEL_PREFIX + "job-name"
TYPE_LABEL = LABEL_PREFIX + "replica-type"
INDEX_LABEL = LABEL_PREFIX + "replica-index"
ROLE_LABEL = LABEL_PREFIX + "job-role"
OPERATOR_NAME = "tfjob-controller"
SELECTOR = selector({OPERATOR_LABEL: OPERATOR_NAME})

OURS = "kubeflow.org/training-operator"
MULTIKUEUE = "kueue.x-k8s.io/multikueue"

NAME_LIMIT = 63


def task_name(replica_type: str, index: int) -> str:
    """A replica's name within its job: `worker-0`."""
    return f"{replica_type.lower()}-{index}"


def child_name(job: str, replica_type: str, index: int) -> str:
    """The name of a replica's pod and of its service: `mnist-worker-0`."""
    return f"{job}-{task_name(replica_type, index)}"
