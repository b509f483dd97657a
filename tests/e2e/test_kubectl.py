"""What a second terminal with the printed kubeconfig shows, by an unmodified kubectl."""

import re
import time
from pathlib import Path

import pytest

from kf_spawner.localcluster.controlplane.build import KUBERNETES_VERSION

from .client import HubClient

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "tfjob.yaml"
IMAGE = "tensorflow-2.21.0-notebook-cpu"


@pytest.fixture
def job(kubectl):
    """The walkthrough's job, applied; its name."""
    kubectl("delete", "-f", str(EXAMPLE), "--ignore-not-found", "--wait")
    shown = kubectl("apply", "-f", str(EXAMPLE))
    name = re.match(r"tfjob\.kubeflow\.org/(\S+) created", shown)[1]
    yield name
    kubectl("delete", "tfjob", name, "--ignore-not-found", "--wait")


def wait_for(kubectl, name, state, timeout=180):
    kubectl("wait", f"--for=condition={state}", f"tfjob/{name}", f"--timeout={timeout}s", timeout=timeout + 10)


def test_version_is_kubernetes_itself(kubectl):
    assert f"Server Version: {KUBERNETES_VERSION}" in kubectl("version")


def test_walkthrough_job(kubectl, job):
    watch = kubectl.start("get", "tfjob", job, "-w", "--no-headers")
    try:
        wait_for(kubectl, job, "Running")
        replicas = kubectl("get", "pods", "-l", f"training.kubeflow.org/job-name={job}", "--no-headers")
        assert len(replicas.splitlines()) == 4, replicas
        follow = kubectl.run("logs", "-f", f"{job}-master-0", timeout=180)
        assert "9801" in follow.stdout, follow  # 99 * 99, the last product
        wait_for(kubectl, job, "Succeeded")
        table = kubectl("get", "tfjob", job).splitlines()
        assert table[0].split() == ["NAME", "STATE", "AGE"]
        assert table[1].split()[:2] == [job, "Succeeded"]
        described = kubectl("describe", "tfjob", job)
        assert "SuccessfulCreatePod" in described
        assert "successfully completed" in described
        seen = []
        for line in watch.stdout:
            seen += line.split()[1:2]
            if seen[-1:] == ["Succeeded"]:
                break
        assert {"Created", "Running"} & set(seen), seen
        assert seen[-1] == "Succeeded"
    finally:
        watch.terminate()
        watch.communicate(timeout=60)
    delete_takes_the_replicas_along(kubectl, job)


def delete_takes_the_replicas_along(kubectl, job):
    selector = f"training.kubeflow.org/job-name={job}"
    assert kubectl("get", "pods", "-l", selector, "--no-headers").strip()
    kubectl("delete", "-f", str(EXAMPLE), "--wait")
    deadline = time.monotonic() + 60
    while left := kubectl("get", "pods,services", "-l", selector, "--no-headers").strip():
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


async def test_notebook_pod(product, kubectl):
    async with HubClient(product.hub) as client:
        await client.make_token()
        await client.spawn({"image": IMAGE})
        try:
            row = kubectl("get", "pods", "jupyter-admin", "--no-headers").split()
            assert row[:3] == ["jupyter-admin", "1/1", "Running"]
            assert "claim-admin" in kubectl("get", "pvc", "claim-admin")
            assert "Jupyter" in kubectl("logs", "jupyter-admin", "--tail=200")
            assert kubectl("exec", "jupyter-admin", "--", "sh", "-c", "echo $JUPYTERHUB_USER").strip() == "admin"
            assert kubectl("exec", "-i", "jupyter-admin", "--", "cat", stdin="through\n") == "through\n"
            assert kubectl.run("exec", "jupyter-admin", "--", "sh", "-c", "exit 7").returncode == 7
            described = kubectl("describe", "pod", "jupyter-admin")
            for reason in ("Scheduled", "Pulled", "Created", "Started"):
                assert reason in described
        finally:
            await client.stop_server()
    deadline = time.monotonic() + 60
    while kubectl("get", "pods", "jupyter-admin", "--ignore-not-found").strip():
        assert time.monotonic() < deadline, "the pod outlives its server"
        time.sleep(0.5)
    assert "claim-admin" in kubectl("get", "pvc", "claim-admin"), "the home volume stays"
