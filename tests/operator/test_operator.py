"""The operator as a process against a real API server; the tests act as the kubelet."""

import json

import pytest

from kf_spawner.kube.resources import NAMESPACES
from kf_spawner.tfjob.names import TFJOBS
from tests.operator.conftest import kubectl
from tests.tfjob.builders import job

pytestmark = pytest.mark.usefixtures("operator_kubeconfig")


async def test_a_job_from_create_to_success(namespace, operator_process):
    await namespace.create(job(Worker=2, PS=1))
    names = ("mnist-worker-0", "mnist-worker-1", "mnist-ps-0")
    pods = await namespace.until_pods(*names)
    assert set(await namespace.services()) == set(names)
    env = pods["mnist-worker-1"]["spec"]["containers"][0]["env"]
    assert json.loads(env[0]["value"]) == {
        "cluster": {
            "ps": [f"mnist-ps-0.{namespace.name}.svc:2222"],
            "worker": [f"mnist-worker-{index}.{namespace.name}.svc:2222" for index in range(2)],
        },
        "task": {"type": "worker", "index": 1},
        "environment": "cloud",
    }
    await namespace.until_state("Created")
    for name in names:
        await namespace.put(name, "Running")
    await namespace.until_state("Running")
    await namespace.put("mnist-worker-0", "Succeeded", code=0)
    done = await namespace.until_state("Succeeded")
    assert done["status"]["completionTime"]
    assert done["spec"] == (await namespace.job())["spec"] == job(Worker=2, PS=1)["spec"]

    async def counted():
        label = f'{{framework="tensorflow",job_namespace="{namespace.name}"}}'
        figures = operator_process.get("/metrics")
        return all(f"_jobs_{outcome}_total{label} 1.0" in figures for outcome in ("created", "successful"))

    await namespace.until(counted)


async def test_deleting_a_job_leaves_nothing(namespace, operator_process):
    await namespace.create(job(Worker=2))
    await namespace.until_pods("mnist-worker-0", "mnist-worker-1")
    await namespace.client.delete(TFJOBS, "mnist", namespace.name)
    await namespace.until_pods()

    async def no_services():
        return not await namespace.services()

    await namespace.until(no_services)


async def test_a_job_of_the_same_name_at_once(namespace, operator_process):
    first = await namespace.create(job(Worker=1))
    await namespace.until_pods("mnist-worker-0")
    await namespace.client.delete(TFJOBS, "mnist", namespace.name)
    second = await namespace.create(job(Worker=1))

    async def owned():
        pods = await namespace.pods()
        owners = [pod["metadata"]["ownerReferences"][0]["uid"] for pod in pods.values()]
        return owners == [second["metadata"]["uid"]]

    await namespace.until(owned)
    assert first["metadata"]["uid"] != second["metadata"]["uid"]


# What is refused


async def test_an_invalid_pod_fails_the_job_with_the_api_servers_words(namespace, operator_process):
    bad = job(Worker=2)
    bad["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]["volumeMounts"] = [
        {"name": "nosuch", "mountPath": "/x"}
    ]
    await namespace.create(bad)
    failed = await namespace.until_state("Failed")
    assert 'volumeMounts[0].name: Not found: "nosuch"' in failed["status"]["conditions"][-1]["message"]
    assert await namespace.pods() == {}


async def test_a_quota_is_told_and_waited_for(namespace, operator_process):
    await namespace.client.request(
        "POST",
        f"/api/v1/namespaces/{namespace.name}/resourcequotas",
        body={
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "q"},
            "spec": {"hard": {"pods": "0"}},
        },
    )
    await namespace.create(job(Worker=1))
    await namespace.until_told("your quota does not allow it: it needs 1 more of pods")
    await namespace.client.request("DELETE", f"/api/v1/namespaces/{namespace.name}/resourcequotas/q")
    await namespace.until_pods("mnist-worker-0")
    await namespace.until_condition(lambda conditions: conditions[0]["reason"] != "TFJobCreateRefused")


async def test_a_namespace_that_is_no_users_needs_an_administrators_label(namespace, operator_process):
    here = namespace.name
    nobodys = {"metadata": {"annotations": {"kf-spawner.io/user": None}}}
    await namespace.client.patch(NAMESPACES, here, nobodys)
    await namespace.create(job(Worker=1))
    await namespace.until_told(f"kubectl label namespace {here} kf-spawner.io/tfjobs=baseline")
    assert await namespace.services() == {}
    await namespace.client.patch(NAMESPACES, here, {"metadata": {"labels": {"kf-spawner.io/tfjobs": "baseline"}}})
    await namespace.until_pods("mnist-worker-0")


# kubectl


async def test_kubectl(control_plane, namespace, operator_process):
    there = ("-n", namespace.name)
    applied = kubectl(control_plane, "apply", *there, "-f", "examples/tfjob.yaml")
    assert "tfjob.kubeflow.org/cluster-check created" in applied
    kubectl(control_plane, "wait", *there, "--for=condition=Created", "tfjob/cluster-check", "--timeout=50s")
    header, row = kubectl(control_plane, "get", "tfjob", *there).splitlines()
    assert header.split() == ["NAME", "STATE", "AGE"]
    assert row.split()[:2] == ["cluster-check", "Created"]
    assert "cluster-check" in kubectl(control_plane, "get", "all", *there)
    kubectl(control_plane, "delete", "tfjob", "cluster-check", *there)


# The process


async def test_health_and_size(namespace, operator_process):
    async def ready():
        try:
            return operator_process.get("/readyz")
        except OSError:
            return None

    assert await namespace.until(ready) == "ok\n"
    assert operator_process.get("/healthz") == "ok\n"
    assert operator_process.memory < 60
    assert operator_process.stop() == 0
