"""Init containers and sidecars: their order, their failures, their end."""

import pytest

from tests.node.pods import DATA, Pods, about, condition, container, ended, last, sh, waits, with_data


async def test_init_containers_run_in_order(pods: Pods) -> None:
    pod = await pods.pod(
        with_data(sh("cat /data/order")),
        init=[with_data(sh("sleep 0.3; echo one >> /data/order")), with_data(sh("echo two >> /data/order"))],
        restartPolicy="Never",
        **DATA,
    )
    pod = await pods.phase(pod, "Succeeded")
    assert await pods.logs(pod) == "one\ntwo\n"
    for name in ("init0", "init1"):
        assert (ended(pod, name)["exitCode"], ended(pod, name)["reason"]) == (0, "Completed")
        assert container(pod, name)["ready"] is True
    assert condition(pod, "Initialized") == "True"


async def test_a_pod_waits_for_its_init_container(pods: Pods) -> None:
    pod = await pods.pod(sh("true"), init=[sh("sleep 100"), sh("true")], restartPolicy="Never")
    pod = await pods.running(pod, "init0")
    assert pod["status"]["phase"] == "Pending"
    assert about(pod, "Initialized")["status"] == "False"
    assert about(pod, "Initialized")["reason"] == "ContainersNotInitialized"
    assert about(pod, "Initialized")["message"] == "containers with incomplete status: [init0 init1]"
    assert waits(pod)["reason"] == waits(pod, "init1")["reason"] == "PodInitializing"


async def test_a_failed_init_container_fails_the_pod(pods: Pods) -> None:
    pod = await pods.pod(sh("echo never"), init=[sh("exit 2"), sh("echo never")], restartPolicy="Never")
    pod = await pods.phase(pod, "Failed")
    assert ended(pod, "init0")["exitCode"] == 2
    assert waits(pod)["reason"] == waits(pod, "init1")["reason"] == "PodInitializing"
    assert condition(pod, "Initialized") == "False"


@pytest.mark.parametrize("policy", ["OnFailure", "Always"])
async def test_a_failed_init_container_is_tried_again(pods: Pods, policy: str) -> None:
    pod = await pods.pod(sh("echo never"), init=[sh("exit 2")], restartPolicy=policy)
    pod = await pods.waiting(pod, "CrashLoopBackOff", "init0")
    assert pod["status"]["phase"] == "Pending"
    assert last(pod, "init0")["exitCode"] == 2
    assert waits(pod)["reason"] == "PodInitializing"


async def test_an_init_container_that_succeeds_at_last(pods: Pods) -> None:
    script = "echo x >> /data/n; [ $(wc -l < /data/n) = 2 ]"
    pod = await pods.pod(sh("echo main"), init=[with_data(sh(script))], restartPolicy="OnFailure", **DATA)
    pod = await pods.phase(pod, "Succeeded")
    assert container(pod, "init0")["restartCount"] == 1
    assert await pods.logs(pod) == "main\n"


async def test_init_containers_do_not_run_again_with_their_pods_container(pods: Pods) -> None:
    script = "[ -e /data/ended ] && { echo $(cat /data/n); sleep 100; }; touch /data/ended; exit 1"
    pod = await pods.pod(with_data(sh(script)), init=[with_data(sh("echo once >> /data/n"))], **DATA)
    pod = await pods.again(pod)
    assert await pods.first_line(pod) == "once\n"
    assert container(pod, "init0")["restartCount"] == 0


async def test_logs_of_an_init_container(pods: Pods) -> None:
    pod = await pods.pod(sh("sleep 100"), init=[sh("echo prepared")])
    await pods.ready(pod)
    assert await pods.logs(pod, "init0") == "prepared\n"


SIDECAR = "trap 'echo sidecar-ended >> /data/order; exit 0' TERM; echo sidecar >> /data/order; sleep 100 & wait"


async def test_a_sidecar_starts_first_and_ends_last(pods: Pods) -> None:
    pod = await pods.pod(
        with_data(sh("sleep 1; echo main >> /data/order")),
        init=[
            {**with_data(sh(SIDECAR)), "restartPolicy": "Always"},
            with_data(sh("echo init >> /data/order")),
        ],
        restartPolicy="Never",
        **DATA,
    )
    pod = await pods.phase(pod, "Succeeded")
    assert ended(pod, "init0")["exitCode"] == 0
    assert ended(pod, "init1")["exitCode"] == 0
    assert ended(pod, "init0")["finishedAt"] >= ended(pod)["finishedAt"]
    assert ended(pod, "init0")["startedAt"] <= ended(pod, "init1")["startedAt"] <= ended(pod)["startedAt"]


async def test_the_end_of_a_sidecar_does_not_count(pods: Pods) -> None:
    script = "trap 'exit 9' TERM; sleep 100 & wait"
    pod = await pods.pod(sh("sleep 1"), init=[{**sh(script), "restartPolicy": "Always"}], restartPolicy="Never")
    pod = await pods.over(pod)
    assert pod["status"]["phase"] == "Succeeded"
    assert ended(pod, "init0")["exitCode"] == 9


async def test_a_sidecar_is_restarted_while_the_pod_runs(pods: Pods) -> None:
    sidecar = {**sh("sleep 0.5; exit 1"), "restartPolicy": "Always"}
    pod = await pods.pod(sh("sleep 100"), init=[sidecar], restartPolicy="Never")
    pod = await pods.until(
        pod, lambda now: container(now, "init0").get("restartCount", 0) >= 1 and "running" in container(now)["state"]
    )
    assert pod["status"]["phase"] == "Running"
    assert last(pod, "init0")["exitCode"] == 1


async def test_a_sidecars_startup_probe_holds_the_rest_back(pods: Pods) -> None:
    probe = {"exec": {"command": ["test", "-e", "/data/ok"]}, "periodSeconds": 1, "failureThreshold": 60}
    sidecar = {**with_data(sh("sleep 100")), "restartPolicy": "Always", "startupProbe": probe}
    pod = await pods.pod(sh("sleep 100"), init=[sidecar], **DATA)
    await pods.event(pod, "Unhealthy", "Startup probe failed: ")
    now = await pods.running(pod, "init0")
    assert (now["status"]["phase"], waits(now)["reason"]) == ("Pending", "PodInitializing")
    assert container(now, "init0")["started"] is False
    await pods.run(pod, "touch", "/data/ok", name="init0")
    pod = await pods.ready(pod)
    assert container(pod, "init0")["started"] is container(pod, "init0")["ready"] is True


async def test_a_sidecar_that_is_not_ready_makes_the_pod_unready(pods: Pods) -> None:
    probe = {"exec": {"command": ["test", "-e", "/data/ok"]}, "periodSeconds": 1}
    sidecar = {**with_data(sh("sleep 100")), "restartPolicy": "Always", "readinessProbe": probe}
    pod = await pods.pod(sh("sleep 100"), init=[sidecar], **DATA)
    pod = await pods.running(pod)
    assert about(pod, "Ready")["message"] == "containers with unready status: [init0]"
    await pods.run(pod, "touch", "/data/ok", name="init0")
    await pods.ready(pod)
