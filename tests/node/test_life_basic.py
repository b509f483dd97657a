"""A pod's life on the real node, beside the real API server."""

from .conftest import Cluster, condition, container, ended, sh


async def test_pod_runs_and_succeeds(cluster: Cluster) -> None:
    pod = await cluster.pod(sh("echo hello; exit 0"), restartPolicy="Never")
    pod = await cluster.phase(pod, "Succeeded")
    assert ended(pod)["reason"] == "Completed"
    assert await cluster.logs(pod) == "hello\n"
    assert condition(pod, "Ready") == "False"
    assert container(pod)["restartCount"] == 0
