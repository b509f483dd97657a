"""TFJobs, good and bad at each field, for tests of who refuses which: `path` and `value` as `changed` takes them."""

from tests.tfjob.builders import replica
from tests.tfjob.test_validation import CASES, CONTAINERS, SPECS, changed

WORKER = "spec/tfReplicaSpecs/Worker"
POLICY = "spec/runPolicy"
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
CLAIMS = f"{SPECS}.Worker.volumeClaimTemplates"
CONTAINER = f"{SPECS}.Worker.template.spec.containers[0]"


def claim(name: object, **parts: object) -> dict:
    return {"metadata": {"name": name}, "spec": CLAIM, **parts}


# The API server drops an entry that is null before it looks at the rest, and gives a job without a name none.
NOT_FOR_THE_API_SERVER = [("metadata/name", ...), (WORKER, None)]

# What validation.py says is in `field`; what its own tests know is here, too.
INVALID = [
    *[(path, value, field) for path, value, field, _ in CASES if (path, value) not in NOT_FOR_THE_API_SERVER],
    ("spec/tfReplicaSpecs", {"Chief": replica(), "Master": replica()}, f"{SPECS}.Master"),
    ("spec/tfReplicaSpecs", {"chief": replica(), "MASTER": replica()}, f"{SPECS}.MASTER"),
    ("spec/tfReplicaSpecs", {"Worker": replica(0), "PS": replica(0)}, SPECS),
    ("spec/tfReplicaSpecs", {"MASTER": replica(3), "Worker": replica()}, f"{SPECS}.MASTER.replicas"),
    ("spec/tfReplicaSpecs", {"worker": replica(), "WORKER": replica()}, f"{SPECS}.WORKER"),
    ("spec/tfReplicaSpecs", {"TFWorker": replica()}, f"{SPECS}.TFWorker"),
    (f"{WORKER}/replicas", 10001, f"{SPECS}.Worker.replicas"),
    (f"{WORKER}/replicas", 1.5, f"{SPECS}.Worker.replicas"),
    (f"{WORKER}/restartPolicy", 1, f"{SPECS}.Worker.restartPolicy"),
    (f"{WORKER}/maxRestarts", -1, f"{SPECS}.Worker.maxRestarts"),
    (f"{WORKER}/maxRestarts", "3", f"{SPECS}.Worker.maxRestarts"),
    (f"{WORKER}/volumeClaimTemplates", "data", CLAIMS),
    (f"{WORKER}/volumeClaimTemplates", ["data"], f"{CLAIMS}[0]"),
    (f"{WORKER}/volumeClaimTemplates", [{"spec": CLAIM}], f"{CLAIMS}[0].metadata"),
    (f"{WORKER}/volumeClaimTemplates", [claim("Data")], f"{CLAIMS}[0].metadata.name"),
    (f"{WORKER}/volumeClaimTemplates", [claim("data", spec=None)], f"{CLAIMS}[0].spec"),
    (f"{WORKER}/volumeClaimTemplates", [claim("data"), claim("data")], CLAIMS),
    (f"{WORKER}/template", "tf", f"{SPECS}.Worker.template"),
    (f"{WORKER}/template/spec", ..., f"{SPECS}.Worker.template.spec"),
    (f"{WORKER}/template/metadata", "x", f"{SPECS}.Worker.template.metadata"),
    (f"{WORKER}/template/metadata", {"annotations": "x"}, f"{SPECS}.Worker.template.metadata.annotations"),
    (f"{CONTAINERS}/0/image", ..., f"{CONTAINER}.image"),
    (f"{CONTAINERS}/0/image", 5, f"{CONTAINER}.image"),
    (f"{CONTAINERS}/0/ports", "2222", f"{CONTAINER}.ports"),
    (f"{CONTAINERS}/0/ports", [{"name": "web"}], f"{CONTAINER}.ports[0].containerPort"),
    (f"{CONTAINERS}/0/ports", [{"containerPort": "80"}], f"{CONTAINER}.ports[0].containerPort"),
    (f"{CONTAINERS}/0/ports", [{"containerPort": 70000}], f"{CONTAINER}.ports[0].containerPort"),
    (f"{CONTAINERS}/0/ports", [{"name": 5, "containerPort": 80}], f"{CONTAINER}.ports[0].name"),
    ("spec/successPolicy", 5, "spec.successPolicy"),
    ("spec/enableDynamicWorker", 1, "spec.enableDynamicWorker"),
    (f"{POLICY}/cleanPodPolicy", 5, "spec.runPolicy.cleanPodPolicy"),
    (f"{POLICY}/cleanPodPolicy", "running", "spec.runPolicy.cleanPodPolicy"),
    (f"{POLICY}/ttlSecondsAfterFinished", -1, "spec.runPolicy.ttlSecondsAfterFinished"),
    (f"{POLICY}/activeDeadlineSeconds", 1.5, "spec.runPolicy.activeDeadlineSeconds"),
    (f"{POLICY}/startDeadlineSeconds", 0, "spec.runPolicy.startDeadlineSeconds"),
    (f"{POLICY}/startDeadlineSeconds", "60", "spec.runPolicy.startDeadlineSeconds"),
    (f"{POLICY}/backoffLimit", "3", "spec.runPolicy.backoffLimit"),
    (f"{POLICY}/suspend", 1, "spec.runPolicy.suspend"),
    (f"{POLICY}/managedBy", "", "spec.runPolicy.managedBy"),
    (f"{POLICY}/waitForEvaluator", "yes", "spec.runPolicy.waitForEvaluator"),
    (f"{POLICY}/avoidFailedNodes", 1, "spec.runPolicy.avoidFailedNodes"),
    (f"{POLICY}/schedulingPolicy", "gang", "spec.runPolicy.schedulingPolicy"),
    (f"{POLICY}/schedulingPolicy/minAvailable", -1, "spec.runPolicy.schedulingPolicy.minAvailable"),
    (f"{POLICY}/schedulingPolicy/minAvailable", "2", "spec.runPolicy.schedulingPolicy.minAvailable"),
    (f"{POLICY}/schedulingPolicy/queue", 5, "spec.runPolicy.schedulingPolicy.queue"),
    (f"{POLICY}/schedulingPolicy/minResources", ["cpu"], "spec.runPolicy.schedulingPolicy.minResources"),
    (f"{POLICY}/schedulingPolicy/minResources", {"cpu": "lots"}, "spec.runPolicy.schedulingPolicy.minResources.cpu"),
    (f"{POLICY}/schedulingPolicy/priorityClass", 5, "spec.runPolicy.schedulingPolicy.priorityClass"),
    (
        f"{POLICY}/schedulingPolicy/scheduleTimeoutSeconds",
        -1,
        "spec.runPolicy.schedulingPolicy.scheduleTimeoutSeconds",
    ),
    ("spec/cleanPodPolicy", "Some", "spec.cleanPodPolicy"),
    ("spec/ttlSecondsAfterFinished", -1, "spec.ttlSecondsAfterFinished"),
    ("spec/activeDeadlineSeconds", 0, "spec.activeDeadlineSeconds"),
    ("spec/backoffLimit", "3", "spec.backoffLimit"),
]

# Slips in the pod that the schema sees, and past it only the API server, when the pod is made of it.
INVALID_PODS = [
    (f"{WORKER}/template/metadata", {"labels": {"a": 1}}, "labels"),
    (f"{CONTAINERS}/0/command", "python", "command"),
    (f"{CONTAINERS}/0/args", [1], "args"),
    (f"{CONTAINERS}/0/env", [{"name": "A", "value": 1}], "env"),
    (f"{CONTAINERS}/0/env", [{"value": "a"}], "env"),
]

VALID = [
    ("metadata/name", "m"),
    ("metadata/name", "m" * 54),
    ("spec/tfReplicaSpecs", {"worker": replica()}),
    ("spec/tfReplicaSpecs", {"CHIEF": replica(), "Ps": replica(3), "evaluator": replica()}),
    ("spec/tfReplicaSpecs", {"Master": replica(0), "Worker": replica(None)}),
    ("spec/tfReplicaSpecs/PS/replicas", 0),
    (f"{WORKER}/replicas", ...),
    *[(f"{WORKER}/restartPolicy", policy) for policy in ("", "Always", "OnFailure", "Never", "ExitCode")],
    (f"{WORKER}/maxRestarts", 0),
    (f"{WORKER}/volumeClaimTemplates", [claim("data"), claim("cache", kind="PersistentVolumeClaim")]),
    (f"{WORKER}/template/metadata", {"labels": {"a": "b"}, "annotations": {"a": "b"}, "name": "x"}),
    (f"{WORKER}/template/spec/nodeSelector", {"gpu": "yes"}),
    (f"{CONTAINERS}/0/env", [{"name": "A"}, {"name": "B", "valueFrom": {"secretKeyRef": {}}}]),
    (f"{CONTAINERS}/0/ports", [{"name": "tfjob-port", "containerPort": 3333, "protocol": "TCP"}]),
    *[("spec/successPolicy", policy) for policy in ("", "AllWorkers")],
    ("spec/enableDynamicWorker", True),
    (POLICY, {}),
    *[(f"{POLICY}/cleanPodPolicy", policy) for policy in ("", "None", "Running", "All", "PS")],
    (f"{POLICY}/ttlSecondsAfterFinished", 0),
    (f"{POLICY}/activeDeadlineSeconds", 1),
    (f"{POLICY}/startDeadlineSeconds", 1),
    (f"{POLICY}/backoffLimit", 0),
    (f"{POLICY}/suspend", True),
    *[(f"{POLICY}/managedBy", who) for who in ("kubeflow.org/training-operator", "kueue.x-k8s.io/multikueue")],
    (f"{POLICY}/waitForEvaluator", True),
    (f"{POLICY}/avoidFailedNodes", True),
    (f"{POLICY}/schedulingPolicy", {"minAvailable": 1, "minResources": {"cpu": 4, "memory": "8Gi"}}),
    (f"{POLICY}/schedulingPolicy", {"queue": "q", "priorityClass": "high", "scheduleTimeoutSeconds": 60}),
    ("spec/cleanPodPolicy", "All"),
    ("spec/ttlSecondsAfterFinished", 0),
    ("spec/activeDeadlineSeconds", 1),
    ("spec/backoffLimit", 0),
]  # fmt: skip

__all__ = ["CONTAINERS", "INVALID", "INVALID_PODS", "VALID", "changed"]
