"""Manifests of the old API versions, by the real kubectl and through the operator to their end."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from kf_spawner.kube.resources import PODS
from kf_spawner.tfjob.names import TFJOBS
from tests.operator.conftest import MANIFESTS, VERSIONS
from tests.tfjob.builders import job

OLD = Path(__file__).parent / "old_manifests"
EXAMPLE = Path(__file__).parents[2] / "kf_spawner" / "examples" / "tfjob-v1alpha2.yaml"
OLD_VERSIONS = VERSIONS[1:]

# Which task's end is the job's, and which pods stay then.
RUNS = [
    (OLD / "v1alpha2-distributed.yaml", "worker-0", {"worker-0"}),
    (OLD / "v1alpha2-policies.yaml", "master-0", set()),
    (OLD / "v1beta1-chief.yaml", "chief-0", {"chief-0", "evaluator-0"}),
    (OLD / "v1beta2-limits.yaml", "worker-0", {"worker-0"}),
    (OLD / "v1-before-run-policy.yaml", "worker-0", set()),
    (EXAMPLE, "master-0", {"master-0"}),
]


@pytest.mark.parametrize(("path", "leader", "kept"), RUNS, ids=lambda value: getattr(value, "stem", ""))
async def test_an_old_manifest_runs_to_its_end(namespace, operator_process, control_plane, path, leader, kept):
    manifest = yaml.safe_load(path.read_text())
    name, version = manifest["metadata"]["name"], manifest["apiVersion"].partition("/")[2]
    applied = control_plane.kubectl("apply", "-n", namespace.name, "-f", str(path))
    assert applied.stdout == f"tfjob.kubeflow.org/{name} created\n", applied.stderr
    assert (f"kubeflow.org/{version} TFJob is deprecated: write kubeflow.org/v1" in applied.stderr) == (
        version != "v1"
    )

    specs = manifest["spec"]["tfReplicaSpecs"]
    tasks = {f"{kind.lower()}-{i}" for kind, spec in specs.items() for i in range(spec.get("replicas", 1))}
    await namespace.until_pods(*(f"{name}-{task}" for task in tasks))
    for task in tasks:
        await namespace.put(f"{name}-{task}", "Running")
    await namespace.until_state("Running", name)
    await namespace.put(f"{name}-{leader}", "Succeeded", code=0)
    done = await namespace.until_state("Succeeded", name)
    assert done["apiVersion"] == "kubeflow.org/v1"

    async def cleaned_up():
        """No kubelet runs that would end the other pods."""
        pods = (await namespace.client.list(PODS, namespace.name))["items"]
        left = {pod["metadata"]["name"] for pod in pods if not pod["metadata"].get("deletionTimestamp")}
        return left == {f"{name}-{task}" for task in kept}

    await namespace.until(cleaned_up)
    again = control_plane.kubectl("apply", "-n", namespace.name, "-f", str(path))
    assert again.stdout == f"tfjob.kubeflow.org/{name} unchanged\n", again.stderr


async def test_limits_of_the_old_places_hold(namespace, operator_process):
    limited = job(Worker=1, restart="OnFailure")
    limited["spec"] |= {"activeDeadlineSeconds": 1, "ttlSecondsAfterFinished": 0}
    await namespace.create(limited)

    async def gone():
        return not (await namespace.client.list(TFJOBS, namespace.name))["items"]

    await namespace.until(gone)


async def test_the_run_policy_comes_before_the_old_places(namespace, operator_process):
    """A v1beta2 manifest of a careful author; the default of its version does not matter either."""
    both = job(Worker=2, run_policy={"cleanPodPolicy": "None"})
    await namespace.client.create(
        replace(TFJOBS, version="v1beta2"),
        {**both, "apiVersion": "kubeflow.org/v1beta2", "metadata": {"name": "mnist", "namespace": namespace.name}},
    )
    await namespace.until_pods("mnist-worker-0", "mnist-worker-1")
    await namespace.put("mnist-worker-0", "Succeeded", code=0)
    await namespace.until_state("Succeeded")
    assert set(await namespace.pods()) == {"mnist-worker-0", "mnist-worker-1"}


async def test_a_job_reads_the_same_in_every_version(namespace, operator_kubeconfig):
    stored = await namespace.create(job(Worker=2, run_policy={"backoffLimit": 3}))
    for version in OLD_VERSIONS:
        resource = replace(TFJOBS, version=version)
        seen = await namespace.client.get(resource, "mnist", namespace.name)
        assert seen["apiVersion"] == f"kubeflow.org/{version}"
        assert seen["spec"] == stored["spec"]


async def test_who_writes_in_an_old_version_gets_its_default(namespace, operator_kubeconfig):
    await namespace.create(job(Worker=2))
    more = {"spec": {"tfReplicaSpecs": {"Worker": {"replicas": 3}}}}
    await namespace.client.patch(replace(TFJOBS, version="v1alpha2"), "mnist", more, namespace.name)
    spec = (await namespace.job())["spec"]
    assert (spec["tfReplicaSpecs"]["Worker"]["replicas"], spec["cleanPodPolicy"]) == (3, "Running")


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("schedulerName", "kube-batch", "set schedulerName in the spec of each replica's template"),
        ("ttlSecondsAfterFinishing", 60, "set runPolicy.ttlSecondsAfterFinished"),
    ],
)
def test_what_versions_do_not_take_any_more(control_plane, operator_kubeconfig, tmp_path, field, value, remedy):
    manifest = yaml.safe_load((OLD / "v1alpha2-distributed.yaml").read_text())
    manifest["spec"][field] = value
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(manifest))
    refused = control_plane.kubectl("apply", "--dry-run=server", "-f", str(path))
    assert refused.returncode == 1
    assert f"spec.{field}: " in refused.stderr
    assert remedy in refused.stderr


def test_the_first_version_is_refused_with_what_to_write_instead(control_plane, operator_kubeconfig):
    refused = control_plane.kubectl("apply", "-f", str(OLD / "v1alpha1.yaml"))
    assert refused.returncode == 1
    assert "instead of the list spec.replicaSpecs the object spec.tfReplicaSpecs" in refused.stderr


def test_versions_share_one_schema(control_plane):
    """They differ in what the docs say they do, and in nothing else."""
    crd = yaml.safe_load((MANIFESTS / "tfjobs-crd.yaml").read_text())
    schemas = {version["name"]: version["schema"]["openAPIV3Schema"] for version in crd["spec"]["versions"]}
    shared = {name: json.loads(json.dumps(schemas[name])) for name in VERSIONS}
    for name, schema in shared.items():
        fields = schema["properties"]["spec"]["properties"]
        assert (fields.pop("cleanPodPolicy").get("default") == "Running") == (name != "v1")
        removed = {field for field in ("schedulerName", "ttlSecondsAfterFinishing") if fields.pop(field, None)}
        assert bool(removed) == (name != "v1")
        assert schema == shared["v1"]


def test_kubectl_prefers_the_stored_version(control_plane, operator_kubeconfig):
    versions = control_plane.kubectl("api-versions").stdout.split()
    assert {f"kubeflow.org/{version}" for version in VERSIONS} <= set(versions)
    resources = control_plane.kubectl("api-resources", "--api-group=kubeflow.org", "--no-headers").stdout
    assert [line.split()[1] for line in resources.splitlines()] == ["kubeflow.org/v1"]
