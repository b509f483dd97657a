"""Init containers and sidecars of a pod on the real node: their order, their failures, their end."""

from .conftest import Cluster, condition, container, ended, sh, waits


async def test_init_containers_run_in_order(cluster: Cluster) -> None:
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    pod = await cluster.pod(
        {**sh("cat /data/order"), **mount},
        init=[{**sh("sleep 0.3; echo one >> /data/order"), **mount}, {**sh("echo two >> /data/order"), **mount}],
        restartPolicy="Never",
        volumes=[{"name": "data", "emptyDir": {}}],
    )
    pod = await cluster.phase(pod, "Succeeded")
    assert await cluster.logs(pod) == "one\ntwo\n"
    assert ended(pod, "init0")["exitCode"] == ended(pod, "init1")["exitCode"] == 0
    assert condition(pod, "Initialized") == "True"


async def test_pod_waits_for_its_init_container(cluster: Cluster) -> None:
    pod = await cluster.pod(sh("true"), init=[sh("sleep 100")], restartPolicy="Never")
    pod = await cluster.until(pod, lambda now: "running" in container(now, "init0")["state"])
    assert pod["status"]["phase"] == "Pending"
    assert condition(pod, "Initialized") == "False"
    assert waits(pod)["reason"] == "PodInitializing"


async def test_failed_init_container_fails_the_pod(cluster: Cluster) -> None:
    pod = await cluster.pod(sh("echo never"), init=[sh("exit 2")], restartPolicy="Never")
    pod = await cluster.phase(pod, "Failed")
    assert ended(pod, "init0")["exitCode"] == 2
    assert waits(pod)["reason"] == "PodInitializing"


async def test_failed_init_container_is_tried_again(cluster: Cluster) -> None:
    pod = await cluster.pod(sh("echo never"), init=[sh("exit 2")], restartPolicy="OnFailure")
    pod = await cluster.until(pod, lambda now: waits(now, "init0").get("reason") == "CrashLoopBackOff")
    assert pod["status"]["phase"] == "Pending"


async def test_sidecar_starts_first_and_ends_last(cluster: Cluster) -> None:
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    sidecar = "trap 'echo sidecar-ended >> /data/order; exit 0' TERM; echo sidecar >> /data/order; sleep 100 & wait"
    pod = await cluster.pod(
        {**sh("sleep 0.2; echo main >> /data/order"), **mount},
        init=[
            {**sh(sidecar), **mount, "restartPolicy": "Always"},
            {**sh("echo init >> /data/order"), **mount},
        ],
        restartPolicy="Never",
        volumes=[{"name": "data", "emptyDir": {}}],
    )
    pod = await cluster.phase(pod, "Succeeded")
    order = cluster.node.root / "pods" / pod["metadata"]["uid"] / "volumes" / "data" / "order"
    assert order.read_text().split() == ["sidecar", "init", "main", "sidecar-ended"]
    assert ended(pod, "init0")["exitCode"] == 0


async def test_sidecar_is_restarted_while_the_pod_runs(cluster: Cluster) -> None:
    pod = await cluster.pod(
        sh("sleep 100"), init=[{**sh("sleep 0.2; exit 1"), "restartPolicy": "Always"}], restartPolicy="Never"
    )
    pod = await cluster.until(pod, lambda now: container(now, "init0").get("restartCount", 0) >= 1)
    assert "running" in container(pod)["state"]
