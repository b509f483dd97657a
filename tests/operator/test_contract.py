"""The contract of a TFJob, row by row, on a real API server with the operator as a process.

Every row below is one promise: a job's spec, what happens to the job, and what must result. All rows run at once
(see `job_driver.py`); each is one test. The rest of the contract: validation in `test_admission.py`, PodGroups in
`test_podgroups.py`, old versions in `test_versions.py`, the original's mistakes in `test_defects.py`.
"""

import asyncio
import json
import re

import pytest

from kf_spawner.kube.resources import NAMESPACES
from tests.operator.conftest import an_operator
from tests.operator.contract_run import ContractRun
from tests.operator.job_driver import JobDriver, Row, Snapshot

LABEL = "training.kubeflow.org/"

CREATED = ("Created", "True", "TFJobCreated", "TFJob NAME is created.")
RUNNING = ("Running", "True", "TFJobRunning", "TFJob NS/NAME is running.")
RAN = ("Running", "False", "TFJobRunning", "TFJob NS/NAME is running.")
SUCCEEDED = ("Succeeded", "True", "TFJobSucceeded", "TFJob NS/NAME successfully completed.")
SUSPENDED = ("Suspended", "True", "TFJobSuspended", "TFJob NAME is suspended.")
RESUMED = ("Suspended", "False", "TFJobResumed", "TFJob NAME is resumed.")
RESTARTING = ("Restarting", "True", "TFJobRestarting", "job NAME is restarting because Worker replica(s) failed.")
BACKOFF = "Job NAME has failed because it has reached the specified backoff limit"
DEADLINE = "Job NAME has failed because it was active longer than specified deadline"


def failed(number: int, kind: str = "Worker") -> tuple[str, str, str, str]:
    return failed_because(f"TFJob NS/NAME has failed because {number} {kind} replica(s) failed.")


def failed_because(message: str) -> tuple[str, str, str, str]:
    return ("Failed", "True", "TFJobFailed", message)


def normal(reason: str, message: str) -> tuple[str, str, str]:
    return ("Normal", reason, message)


def tasks(**counts: int) -> set[str]:
    return {f"{kind.lower()}-{index}" for kind, count in counts.items() for index in range(count)}


# Checks that the fields of a row cannot express


def spec_is_untouched(snapshot: Snapshot) -> None:
    assert snapshot.job
    assert snapshot.job["spec"] == snapshot.row.manifest()["spec"]
    assert set(snapshot.job["metadata"]) <= {
        "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp"
    }  # fmt: skip


def defaults_are_in_the_pod(snapshot: Snapshot) -> None:
    spec_is_untouched(snapshot)
    pod = snapshot.pods["worker-0"]["spec"]
    assert pod["restartPolicy"] == "Never"
    ports = [(port["name"], port["containerPort"]) for port in pod["containers"][0]["ports"]]
    assert ports == [("tfjob-port", 2222)]
    assert snapshot.status["startTime"]
    assert snapshot.status["lastReconcileTime"]


def own_ports_are_kept(snapshot: Snapshot) -> None:
    ports = snapshot.pods["worker-0"]["spec"]["containers"][0]["ports"]
    assert [(port["name"], port["containerPort"]) for port in ports] == [("tfjob-port", 5000), ("board", 6006)]
    served = [(port["name"], port["port"]) for port in snapshot.services["worker-0"]["spec"]["ports"]]
    assert served == [("tfjob-port", 5000), ("board", 6006)]
    assert (
        snapshot.tf_config("worker-0")["cluster"]["worker"][0]
        == f"{snapshot.row.name}-worker-0.{snapshot.namespace}.svc:5000"
    )


def other_ports_get_ours_beside(snapshot: Snapshot) -> None:
    ports = snapshot.pods["worker-0"]["spec"]["containers"][0]["ports"]
    assert [(port["name"], port["containerPort"]) for port in ports] == [("board", 6006), ("tfjob-port", 2222)]


def labels_names_owners(snapshot: Snapshot) -> None:
    assert snapshot.job
    for task, pod in snapshot.pods.items():
        kind, _, index = task.rpartition("-")
        identity = {
            LABEL + "operator-name": "tfjob-controller",
            LABEL + "job-name": snapshot.row.name,
            LABEL + "replica-type": kind,
            LABEL + "replica-index": index,
        }
        role = {LABEL + "job-role": "master"} if task == "chief-0" else {}
        owner = {
            "apiVersion": "kubeflow.org/v1", "kind": "TFJob", "name": snapshot.row.name,
            "uid": snapshot.job["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True,
        }  # fmt: skip
        service = snapshot.services[task]
        for child in (pod, service):
            assert child["metadata"]["name"] == f"{snapshot.row.name}-{task}"
            assert child["metadata"]["labels"] == {**identity, **role}
            assert child["metadata"]["ownerReferences"] == [owner]
        assert service["spec"]["clusterIP"] == "None"
        assert service["spec"]["selector"] == identity
        assert [(port["name"], port["port"]) for port in service["spec"]["ports"]] == [("tfjob-port", 2222)]


def leads(task: str):
    def check(snapshot: Snapshot) -> None:
        role = LABEL + "job-role"
        assert {t for t, pod in snapshot.pods.items() if pod["metadata"]["labels"].get(role) == "master"} == {task}

    return check


def cluster_is_dense(snapshot: Snapshot) -> None:
    def addresses(kind: str, count: int) -> list[str]:
        return [f"{snapshot.row.name}-{kind}-{index}.{snapshot.namespace}.svc:2222" for index in range(count)]

    cluster = {"chief": addresses("chief", 1), "ps": addresses("ps", 2), "worker": addresses("worker", 2)}
    for task in snapshot.pods:
        kind, _, index = task.rpartition("-")
        assert snapshot.tf_config(task) == {
            "cluster": cluster, "task": {"type": kind, "index": int(index)}, "environment": "cloud"
        }  # fmt: skip
    assert "evaluator-0" in snapshot.pods


def cluster_is_sparse(snapshot: Snapshot) -> None:
    host = f"{snapshot.row.name}-{{}}.{snapshot.namespace}.svc:2222".format
    assert snapshot.tf_config("worker-1") == {
        "cluster": {"ps": [host("ps-0"), host("ps-1")], "worker": {"1": host("worker-1")}},
        "task": {"type": "worker", "index": 1},
    }
    assert snapshot.tf_config("ps-0")["cluster"]["worker"] == [host("worker-0"), host("worker-1")]


def hosts_have_the_domain(snapshot: Snapshot) -> None:
    hosts = [f"{snapshot.row.name}-worker-{index}.{snapshot.namespace}.svc.corp.example:2222" for index in range(2)]
    assert snapshot.tf_config("worker-0")["cluster"] == {"worker": hosts}


def there_is_no_tf_config(snapshot: Snapshot) -> None:
    assert snapshot.tf_config("worker-0") is None


def start_is_that_of_the_resuming(snapshot: Snapshot) -> None:
    resumed = snapshot.conditions[[c["type"] for c in snapshot.conditions].index("Suspended")]
    assert snapshot.status["startTime"] >= resumed["lastTransitionTime"]


def nothing_was_started(snapshot: Snapshot) -> None:
    assert "startTime" not in snapshot.status


def left_alone(snapshot: Snapshot) -> None:
    assert snapshot.job
    assert not snapshot.status
    assert not snapshot.events


def refusal_is_an_event(snapshot: Snapshot) -> None:
    refused = f"Error creating {snapshot.row.name}-worker-0: "
    found = [message for kind, reason, message in snapshot.events if (kind, reason) == ("Warning", "FailedCreatePod")]
    assert any(message.startswith(refused) and "nosuch" in message for message in found), found


def ended_and_times_are_right(snapshot: Snapshot) -> None:
    times = [condition["lastTransitionTime"] for condition in snapshot.conditions]
    assert snapshot.status["startTime"] <= snapshot.status["completionTime"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time) for time in times)
    assert all(condition["lastUpdateTime"] >= condition["lastTransitionTime"] for condition in snapshot.conditions)


W1, W2, W3 = {"Worker": 1}, {"Worker": 2}, {"Worker": 3}
PS = {"PS": 1, "Worker": 2}
CHIEF = {"Chief": 1, "Worker": 2, "PS": 1}
PORTS = [{"name": "tfjob-port", "containerPort": 5000}, {"name": "board", "containerPort": 6006}]

ROWS = [
    # Defaults and the spec
    Row("defaults", {"Worker": None}, pods={"worker-0"}, state="Created", check=defaults_are_in_the_pod),
    Row("port-of-its-own", W2, container={"ports": PORTS}, pods=tasks(Worker=2), check=own_ports_are_kept),
    Row("port-beside-others", W1, container={"ports": PORTS[1:]}, pods={"worker-0"},
        check=other_ports_get_ours_beside),
    Row("types-in-any-case", {"worker": 2, "ps": 1, "CHIEF": 1}, "all Running", pods=tasks(Worker=2, PS=1, Chief=1),
        counts={"Chief": (1, 0, 0), "PS": (1, 0, 0), "Worker": (2, 0, 0)}),
    # Names, labels, ports, owners
    Row("children", CHIEF, pods=tasks(**CHIEF), check=labels_names_owners),
    Row("role-of-chief", CHIEF, pods=tasks(**CHIEF), check=leads("chief-0")),
    Row("role-of-master", {"Master": 1, "Worker": 1}, pods=tasks(Master=1, Worker=1), check=leads("master-0")),
    Row("role-of-worker-0", PS, pods=tasks(**PS), check=leads("worker-0")),
    # TF_CONFIG
    Row("tf-config-dense", {"Chief": 1, "Worker": 2, "PS": 2, "Evaluator": 1},
        pods=tasks(Chief=1, Worker=2, PS=2, Evaluator=1), check=cluster_is_dense),
    Row("tf-config-sparse", {"Worker": 2, "PS": 2}, spec={"enableDynamicWorker": True}, pods=tasks(Worker=2, PS=2),
        check=cluster_is_sparse),
    Row("tf-config-of-one", W1, pods={"worker-0"}, check=there_is_no_tf_config),
    # Conditions: type, status, reason, message
    Row("created", W2, conditions=[CREATED], counts={"Worker": (0, 0, 0)}, pods=tasks(**W2)),
    Row("running", W2, "worker-0 Running", conditions=[CREATED, RUNNING], counts={"Worker": (1, 0, 0)}),
    Row("running-is-the-chief-s", CHIEF, "worker-0 Running; worker-1 Running; ps-0 Running", conditions=[CREATED],
        counts={"Chief": (0, 0, 0), "PS": (1, 0, 0), "Worker": (2, 0, 0)}),
    Row("succeeded", W2, "all Running; is Running; worker-0 Succeeded 0", conditions=[CREATED, RAN, SUCCEEDED],
        counts={"Worker": (0, 2, 0)}, check=ended_and_times_are_right),
    Row("failed", W2, "all Running; is Running; worker-1 Failed 1", conditions=[CREATED, RAN, failed(1)],
        counts={"Worker": (1, 0, 1)}, check=ended_and_times_are_right),
    Row("failed-of-ps", PS, "ps-0 Failed 1", conditions=[CREATED, failed(1, "PS")]),
    Row("restarting", W1, "worker-0 Running; is Running; worker-0 Failed 137", restart="ExitCode",
        recreated={"worker-0"}, conditions=[CREATED, RESTARTING], pods=tasks(**W1), counts={"Worker": (0, 0, 0)}),
    Row("running-again", W1, "worker-0 Failed 137; is Restarting; worker-0 Running", restart="ExitCode",
        recreated={"worker-0"}, conditions=[CREATED, RUNNING], counts={"Worker": (1, 0, 0)}),
    Row("restarted-and-succeeded", W1, "worker-0 Failed 143; is Restarting; worker-0 Running; is Running;"
        "worker-0 Succeeded 0", restart="ExitCode", recreated={"worker-0"}, conditions=[CREATED, RAN, SUCCEEDED]),
    Row("success-is-final", W2, "worker-0 Succeeded 0; is Succeeded; worker-1 Failed 1", state="Succeeded",
        conditions=[CREATED, SUCCEEDED]),
    Row("failure-is-final", W2, "worker-1 Failed 1; is Failed; worker-0 Succeeded 0", state="Failed",
        conditions=[CREATED, failed(1)]),
    # Success policies
    Row("success-of-chief", CHIEF, "all Running; chief-0 Succeeded 0", state="Succeeded",
        counts={"Chief": (0, 1, 0), "PS": (0, 1, 0), "Worker": (0, 2, 0)}),
    Row("success-of-master", {"Master": 1, "Worker": 1}, "all Running; master-0 Succeeded 0", state="Succeeded"),
    Row("workers-cannot-succeed-for-a-chief", CHIEF, "all Running; worker-0 Succeeded 0; worker-1 Succeeded 0",
        state="Running", counts={"Chief": (1, 0, 0), "PS": (1, 0, 0), "Worker": (0, 2, 0)}),
    Row("success-of-worker-0", PS, "all Running; worker-0 Succeeded 0", state="Succeeded"),
    Row("worker-1-does-not-decide", PS, "all Running; worker-1 Succeeded 0", state="Running",
        counts={"PS": (1, 0, 0), "Worker": (1, 1, 0)}),
    Row("all-workers-not-all", PS, "all Running; worker-0 Succeeded 0", spec={"successPolicy": "AllWorkers"},
        state="Running", counts={"PS": (1, 0, 0), "Worker": (1, 1, 0)}),
    Row("all-workers-all", PS, "all Running; worker-0 Succeeded 0; worker-1 Succeeded 0",
        spec={"successPolicy": "AllWorkers"}, state="Succeeded"),
    Row("ps-alone", {"PS": 2}, "all Running; ps-0 Succeeded 0; ps-1 Succeeded 0", state="Succeeded"),
    Row("evaluator-alone", {"Evaluator": 1}, "all Running; evaluator-0 Succeeded 0", state="Succeeded"),
    # Restart policies
    Row("never-1", W2, "worker-1 Failed 1", restart="Never", state="Failed"),
    Row("never-137", W2, "worker-1 Failed 137", restart="Never", state="Failed"),
    Row("on-failure-1", W2, "worker-1 Failed 1", restart="OnFailure", state="Restarting", recreated={"worker-1"}),
    Row("always-1", W2, "worker-1 Failed 1", restart="Always", state="Restarting", recreated={"worker-1"}),
    Row("exit-code-1", W2, "worker-1 Failed 1", restart="ExitCode", state="Failed"),
    Row("exit-code-127", W2, "worker-1 Failed 127", restart="ExitCode", state="Failed"),
    Row("exit-code-128", W2, "worker-1 Failed 128", restart="ExitCode", state="Restarting", recreated={"worker-1"}),
    Row("exit-code-255", W2, "worker-1 Failed 255", restart="ExitCode", state="Restarting", recreated={"worker-1"}),
    Row("dynamic-worker-fails", PS, "all Running; worker-1 Failed 1", spec={"enableDynamicWorker": True},
        state="Running", counts={"PS": (1, 0, 0), "Worker": (1, 0, 1)}),
    Row("deleted-pod-comes-back", W2, "all Running; worker-1 deleted", state="Running", recreated={"worker-1"},
        pods=tasks(**W2)),
    # Limits
    Row("backoff-limit", W1, "worker-0 Failed 137; worker-0 Running; is Running; worker-0 Failed 137",
        policy={"backoffLimit": 1}, restart="ExitCode", recreated={"worker-0"},
        conditions=[CREATED, RAN, failed_because(BACKOFF)]),
    Row("backoff-limit-in-place", W1, "worker-0 restarts 2", policy={"backoffLimit": 2}, restart="OnFailure",
        conditions=[CREATED, failed_because(BACKOFF)], pods=set()),
    Row("active-deadline", W2, "", policy={"activeDeadlineSeconds": 1}, pods=set(),
        conditions=[CREATED, failed_because(DEADLINE)]),
    Row("ttl", W1, "worker-0 Succeeded 0", policy={"ttlSecondsAfterFinished": 1}, deleted=True),
    Row("ttl-0", W1, "worker-0 Failed 1", policy={"ttlSecondsAfterFinished": 0}, deleted=True),
    # Clean policies
    *(
        Row(f"clean-{policy or 'default'}-{end.split()[0]}".lower(), {"Chief": 1, "Worker": 3},
            f"worker-0 Running; worker-1 Succeeded 0; chief-0 {end}", restart="Never", state=end.split()[0],
            policy={"cleanPodPolicy": policy} if policy else {}, pods=left)
        for policy, left in (
            (None, tasks(Chief=1, Worker=3)),
            ("None", tasks(Chief=1, Worker=3)),
            ("Running", {"chief-0", "worker-1"}),
            ("All", set()),
        )
        for end in ("Succeeded 0", "Failed 1")
    ),
    # Suspend, resume, scale
    Row("suspend", W2, "all Running; is Running; suspend", pods=set(), counts={"Worker": (0, 0, 0)}, conditions=[
        CREATED, ("Running", "False", "TFJobSuspended", "TFJob NAME is suspended."), SUSPENDED,
    ]),
    Row("suspended-from-the-start", W2, policy={"suspend": True}, conditions=[CREATED, SUSPENDED], pods=set(),
        check=nothing_was_started),
    Row("resume", W2, "all Running; is Running; suspend; is Suspended; resume; all Running", pods=tasks(**W2),
        recreated=tasks(**W2), conditions=[CREATED, RESUMED, RUNNING], check=start_is_that_of_the_resuming),
    Row("scale-up", W2, "all Running; scale Worker 4", pods=tasks(Worker=4), counts={"Worker": (2, 0, 0)}),
    Row("scale-down", W3, "all Running; scale Worker 1", pods=tasks(Worker=1), counts={"Worker": (1, 0, 0)}),
    Row("type-taken-out", PS, "all Running; without PS", pods=tasks(Worker=2), counts={"Worker": (2, 0, 0)}),
    # Who runs it
    Row("managed-by-us", W1, policy={"managedBy": "kubeflow.org/training-operator"}, pods={"worker-0"}),
    Row("managed-by-kueue", W1, policy={"managedBy": "kueue.x-k8s.io/multikueue"}, pods=set(), check=left_alone),
    # Events
    Row("event-of-making", W2, events=[
        normal("SuccessfulCreatePod", "Created pods: NAME-worker-0, NAME-worker-1"),
        normal("SuccessfulCreateService", "Created services: NAME-worker-0, NAME-worker-1"),
    ]),
    Row("event-of-removing", W2, "all Running; scale Worker 1", events=[
        normal("SuccessfulDeletePod", "Deleted pod: NAME-worker-1"),
        normal("SuccessfulDeleteService", "Deleted service: NAME-worker-1"),
    ]),
    Row("event-of-an-exit-code", W1, "worker-0 Failed 3", events=[
        normal("ExitedWithCode", "Pod: NS.NAME-worker-0 exited with code 3"),
        ("Warning", "TFJobFailed", "TFJob NS/NAME has failed because 1 Worker replica(s) failed."),
    ]),
    Row("event-of-success", W1, "worker-0 Succeeded 0", events=[normal("TFJobSucceeded", SUCCEEDED[3])]),
    Row("event-of-a-restart", W1, "worker-0 Failed 137", restart="ExitCode", recreated={"worker-0"},
        events=[("Warning", "TFJobRestarting", RESTARTING[3])]),
    Row("event-of-suspending", W1, "all Running; suspend; is Suspended; resume", recreated={"worker-0"},
        events=[normal("TFJobSuspended", SUSPENDED[3]), normal("TFJobResumed", RESUMED[3])]),
    Row("event-of-a-refusal", W1, container={"volumeMounts": [{"name": "nosuch", "mountPath": "/x"}]}, state="Failed",
        check=refusal_is_an_event),
]  # fmt: skip
# Rows for an operator that was started with CUSTOM_CLUSTER_DOMAIN.
DOMAIN_ROWS = [Row("tf-config-with-a-domain", W2, pods=tasks(**W2), check=hosts_have_the_domain)]


@pytest.fixture(scope="module")
def contract_run(control_plane, operator_kubeconfig, tmp_path_factory):
    folder = tmp_path_factory.mktemp("operators")
    contract = ContractRun()

    async def run(namespace: str, rows: list[Row], env: dict[str, str]) -> None:
        log = folder / f"{namespace}.log"
        with an_operator(operator_kubeconfig, log, f"--namespace={namespace}", env=env) as operator:
            async with JobDriver(control_plane.admin_kubeconfig, namespace) as driver:
                await contract.run(driver, rows)
                await contract.read_metrics(driver, rows, operator)

    asyncio.run(run("contract", ROWS, {}))
    asyncio.run(run("contract-domain", DOMAIN_ROWS, {"CUSTOM_CLUSTER_DOMAIN": "corp.example"}))
    print(f"{len(ROWS) + len(DOMAIN_ROWS)} rows in {contract.seconds:.1f} s")
    yield contract
    for namespace in ("contract", "contract-domain"):
        control_plane.kubectl("delete", NAMESPACES.plural, namespace, "--wait=false")


@pytest.mark.parametrize("row", [*ROWS, *DOMAIN_ROWS], ids=lambda row: row.name)
def test_row(contract_run, row):
    assert row.name not in contract_run.failures, contract_run.failures[row.name]


def test_printer_columns(contract_run, control_plane):
    """`kubectl get tfjobs`: NAME, STATE (the last condition's type), AGE. No operator runs any more."""
    jobs = json.loads(control_plane.kubectl("get", "tfjobs", "-n", "contract", "-o", "json").stdout)["items"]
    header, *lines = control_plane.kubectl("get", "tfjobs", "-n", "contract").stdout.splitlines()
    assert header.split() == ["NAME", "STATE", "AGE"]
    columns = {line.split()[0]: line.split()[1:] for line in lines}
    assert len(columns) == len([row for row in ROWS if not row.deleted])
    for job in jobs:
        if "status" in job:
            state, age = columns[job["metadata"]["name"]]
            assert state == job["status"]["conditions"][-1]["type"]
            assert re.fullmatch(r"(\d+[ms])+", age)


@pytest.mark.parametrize("namespace", ["contract", "contract-domain"])
def test_metrics(contract_run, namespace):
    wanted, found = contract_run.metrics[namespace]
    assert found == wanted
