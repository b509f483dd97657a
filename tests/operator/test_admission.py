"""What is refused, by whom and with which words: the CRD's schema and rules, and behind them the operator."""

import json

import pytest

from kf_spawner.kube import Client, Invalid
from kf_spawner.kube.paths import path_of
from kf_spawner.kube.resources import EVENTS
from kf_spawner.tfjob.names import TFJOBS
from kf_spawner.tfjob.validation import validate
from tests.k8s.quantity_table import TABLE
from tests.operator.admission_table import CONTAINERS, INVALID, INVALID_PODS, VALID, changed
from tests.operator.conftest import MANIFESTS
from tests.operator.past_admission import PastAdmission
from tests.tfjob.builders import job

pytestmark = pytest.mark.usefixtures("operator_kubeconfig")

REASONS_OF_THE_OUTER = ("FieldValueRequired", "FieldValueTypeInvalid")
QUEUE = {"schedulingPolicy": {"queue": "a"}}
MULTIKUEUE = "kueue.x-k8s.io/multikueue"


async def try_to_create(client: Client, obj: dict) -> dict:
    """All of admission, and nothing is stored."""
    obj = {**obj, "metadata": {"namespace": "default", **obj["metadata"]}}
    obj["metadata"]["namespace"] = "default"
    return await client.request("POST", path_of(TFJOBS, "default"), params={"dryRun": "All"}, body=obj)


def test_the_table_is_long_enough():
    assert len(INVALID) + len(VALID) > 120


@pytest.mark.parametrize(("path", "value", "field"), INVALID)
async def test_is_refused_by_the_api_server_and_by_validation(client, path, value, field):
    """Both name the field; the API server's message is short enough to be read."""
    bad = changed(path, value)
    assert any(error.field == field or error.field.startswith(f"{field}.") for error in validate(bad)), validate(bad)
    with pytest.raises(Invalid) as caught:
        await try_to_create(client, bad)
    assert names(caught.value, field), caught.value.message
    assert len(caught.value.message) < 1500


def names(error: Invalid, field: str) -> bool:
    """Whether the API server refused because of `field`, or of what it would be in, which is missing or no object."""
    for cause in error.details["causes"]:
        named = cause["field"].replace("[", ".").replace("]", "")
        wanted = field.replace("[", ".").replace("]", "")
        said = last_part(field) in cause["message"].lower() or cause["reason"] in REASONS_OF_THE_OUTER
        if named == wanted or (wanted.startswith(f"{named}.") and said) or field in cause["message"]:
            return True
    return False


def last_part(field: str) -> str:
    """`containerport` for `….ports[0].containerPort`; the API server writes the rest in several ways."""
    return field.rpartition(".")[2].partition("[")[0].lower()


@pytest.mark.parametrize(("path", "value", "word"), INVALID_PODS)
async def test_slips_in_a_pod_that_the_schema_sees(client, path, value, word):
    with pytest.raises(Invalid, match=word):
        await try_to_create(client, changed(path, value))


@pytest.mark.parametrize(("path", "value"), VALID)
async def test_is_taken_by_the_api_server_and_by_validation(client, path, value):
    good = changed(path, value)
    assert validate(good) == []
    taken = await try_to_create(client, good)
    assert taken["spec"] == good["spec"], "nothing is defaulted or pruned"


@pytest.mark.parametrize(
    ("path", "value", "remedy"),
    [
        ("metadata/name", "1mnist", "begin with a letter"),
        ("metadata/name", "m" * 55, "shorten it"),
        ("spec/tfReplicaSpecs/Wroker", {}, "Wroker: not a replica type; use Chief, Master, PS, Worker or Evaluator"),
        ("spec/tfReplicaSpecs", {"chief": {"replicas": 2}}, "chief.replicas: a job has one at most; use Worker"),
        ("spec/tfReplicaSpecs/Worker/replicas", 0, "set replicas of at least one type to 1 or more"),
        (f"{CONTAINERS}/0/name", "tf", "none is named 'tensorflow'; give the one that runs TensorFlow that name"),
        (f"{CONTAINERS}/0/image", " ", "name the image to run"),
        ("spec/tfReplicaSpecs/Worker/restartPolicy", "Sometimes", '"OnFailure"'),
        ("spec/runPolicy/activeDeadlineSeconds", 0, "greater than or equal to 1"),
    ],
)  # fmt: skip
async def test_the_api_server_says_what_to_do(client, path, value, remedy):
    bad = changed(path, value)
    for spec in bad["spec"]["tfReplicaSpecs"].values():
        spec.setdefault("template", changed("metadata/name", "m")["spec"]["tfReplicaSpecs"]["PS"]["template"])
    if value == 0 and path.endswith("Worker/replicas"):
        bad["spec"]["tfReplicaSpecs"]["PS"]["replicas"] = 0
    with pytest.raises(Invalid) as caught:
        await try_to_create(client, bad)
    assert remedy in caught.value.message


async def test_quantities_are_those_of_the_api_server(client):
    """The CRD's pattern and validation, over the same table as all who read quantities."""
    amounts = {f"x{index}": text for index, (text, _) in enumerate(TABLE)}
    valid = {name: text for (name, text), (_, number) in zip(amounts.items(), TABLE, strict=True) if number}
    path = "spec/runPolicy/schedulingPolicy/minResources"
    assert validate(changed(path, valid)) == []
    await try_to_create(client, changed(path, valid))
    bad = changed(path, amounts)
    wrong = {f"{path.replace('/', '.')}.{name}" for name in amounts.keys() - valid.keys()}
    assert {error.field for error in validate(bad)} == wrong
    with pytest.raises(Invalid) as caught:
        await try_to_create(client, bad)
    assert {cause["field"] for cause in caught.value.details["causes"]} == wrong


# Changes


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        ({"managedBy": MULTIKUEUE}, {"managedBy": None}, "spec.runPolicy.managedBy"),
        ({"managedBy": MULTIKUEUE}, {"managedBy": "kubeflow.org/training-operator"}, "spec.runPolicy.managedBy"),
        ({"managedBy": MULTIKUEUE}, None, "spec.runPolicy.managedBy"),
        (None, {"managedBy": MULTIKUEUE}, "spec.runPolicy.managedBy"),
        ({"backoffLimit": 1}, {"managedBy": MULTIKUEUE}, "spec.runPolicy.managedBy"),
        (QUEUE, {"schedulingPolicy": {"queue": "b"}}, "spec.runPolicy.schedulingPolicy.queue"),
    ],
)
async def test_what_stays_as_it_is(namespace, before, after, field):
    await namespace.create(job(Worker=1, run_policy=before))
    with pytest.raises(Invalid, match="cannot be changed; delete the job and create it again") as caught:
        await namespace.client.patch(TFJOBS, "mnist", {"spec": {"runPolicy": after}}, namespace.name)
    assert field in caught.value.message


async def test_all_else_may_be_changed(namespace):
    await namespace.create(job("m" * 54, Worker=2, PS=1, run_policy={"backoffLimit": 1, **QUEUE}))
    changes = [
        {"tfReplicaSpecs": {"Worker": {"replicas": 3, "restartPolicy": "OnFailure"}}},
        {"tfReplicaSpecs": {"PS": None, "Chief": changed("metadata/name", "m")["spec"]["tfReplicaSpecs"]["PS"]}},
        {"tfReplicaSpecs": {"Worker": {"template": {"spec": {"nodeSelector": {"gpu": "yes"}}}}}},
        {"runPolicy": {"suspend": True, "backoffLimit": None, "schedulingPolicy": None}},
        {"runPolicy": None, "successPolicy": "AllWorkers"},
    ]
    for change in changes:
        await namespace.client.patch(TFJOBS, "m" * 54, {"spec": change}, namespace.name)
    more = {"tfReplicaSpecs": {"Worker": {"replicas": 11}}}
    with pytest.raises(Invalid, match="more than 63 characters; ask for fewer"):
        await namespace.client.patch(TFJOBS, "m" * 54, {"spec": more}, namespace.name)


# Past admission


async def test_what_came_past_admission_fails_once_and_makes_nothing(namespace, control_plane, operator_process):
    """As jobs that another CRD let in; the rules must not keep the operator from saying what is wrong with them."""
    wanted = {}
    for number, (path, value, word) in enumerate([*INVALID, *INVALID_PODS]):
        bad = changed(path, value)
        if path != "metadata/name":
            bad["metadata"]["name"] = f"bad-{number}"
        bad["metadata"]["namespace"] = namespace.name
        wanted[bad["metadata"]["name"]] = (bad, word)
    await PastAdmission(control_plane).store(*(bad for bad, _ in wanted.values()))

    async def all_told():
        failed = await failures(namespace)
        told = await failures_in_events(namespace)
        return (failed, told) if wanted.keys() <= failed.keys() | told.keys() else None

    failed, told = await namespace.until(all_told)
    for name, (_, field) in wanted.items():
        assert last_part(field) in {**told, **failed}[name].lower(), name
    assert len(failed) > 80
    assert all("-ps-" in name for name in await namespace.pods()), "only of jobs of which another pod is the bad one"
    log = operator_process.log.read_text()
    assert "Traceback" not in log
    for name in wanted.keys() - failed.keys():
        assert log.count(f"/{name} has failed") == 1, "what no status can be written for is left alone"


async def failures(namespace) -> dict[str, str]:
    """Messages of Failed conditions, by job."""
    found = {}
    for obj in (await namespace.client.list(TFJOBS, namespace.name))["items"]:
        last = (obj.get("status") or {}).get("conditions", [{}])[-1]
        if last.get("type") == "Failed":
            found[obj["metadata"]["name"]] = last["message"]
    return found


async def failures_in_events(namespace) -> dict[str, str]:
    """The same of jobs that the API server takes no status for: their types are not the schema's."""
    events = (await namespace.client.list(EVENTS, namespace.name))["items"]
    by_reason: dict[str, dict[str, str]] = {"TFJobFailed": {}, "TFJobStatusRefused": {}}
    for event in events:
        by_reason.get(event["reason"], {})[event["involvedObject"]["name"]] = event["message"]
    refused = by_reason["TFJobStatusRefused"]
    return {name: message for name, message in by_reason["TFJobFailed"].items() if name in refused}


# kubectl


def test_the_crd_is_small_enough_for_kubectl_apply(control_plane):
    """Its annotation with the last applied state may have 262,144 bytes in all."""
    applied = control_plane.kubectl("apply", "-f", str(MANIFESTS / "tfjobs-crd.yaml"))
    assert applied.stdout.split()[-1] in ("unchanged", "configured"), applied.stderr
    crd = json.loads(control_plane.kubectl("get", "crd", "tfjobs.kubeflow.org", "-o", "json").stdout)
    assert 1000 < sum(map(len, crd["metadata"]["annotations"].values())) < 100_000
    conditions = {entry["type"]: entry["status"] for entry in crd["status"]["conditions"]}
    assert conditions["NonStructuralSchema"] == "False" if "NonStructuralSchema" in conditions else True


async def test_kubectl_explains_every_field(control_plane, namespace):
    def explained(path: str) -> str:
        return " ".join(control_plane.kubectl("explain", path).stdout.split())

    async def described():
        """The API server describes a new kind a moment after it serves it."""
        return "FIELDS: " in explained("tfjob.spec.runPolicy")

    await namespace.until(described)
    policy = explained("tfjob.spec.runPolicy")
    assert "backoffLimit <integer> How often replicas may be restarted before the job fails" in policy
    for field in policy.split("FIELDS: ")[1].split("<")[:-1]:
        name = field.split()[-1]
        assert f"{name} <" in policy
    assert "claims" in explained("tfjob.spec.tfReplicaSpecs.volumeClaimTemplates").lower()
