"""diagnosis: every known way not to start has its cause and remedy, and a healthy start has none."""

import pytest

from kf_spawner.spawner.diagnosis import Cause, diagnose, of_end, of_refusal, of_taints


def pod(phase="Pending", *, containers=(), conditions=(), **status):
    return {
        "metadata": {"name": "jupyter-admin"},
        "status": {
            "phase": phase,
            "containerStatuses": list(containers),
            "conditions": list(conditions),
            **status,
        },
    }


def container(*, waiting=None, terminated=None, running=None, last=None, restarts=0):
    state = {k: v for k, v in {"waiting": waiting, "terminated": terminated, "running": running}.items() if v}
    return {
        "name": "notebook",
        "image": "registry/tf:1",
        "state": state,
        "lastState": {"terminated": last} if last else {},
        "restartCount": restarts,
    }


def unschedulable(message):
    return {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}


def event(reason, message, *, kind="Pod", name="jupyter-admin"):
    return {"reason": reason, "message": message, "involvedObject": {"kind": kind, "name": name}}


HEALTHY = [
    pod(),
    pod(containers=[container(waiting={"reason": "ContainerCreating"})]),
    pod(containers=[container(waiting={"reason": "PodInitializing"})]),
    pod("Running", containers=[container(running={"startedAt": "now"})]),
    pod("Running", containers=[container(running={"startedAt": "now"}, last={"exitCode": 1}, restarts=1)]),
    pod("Running", containers=[container(terminated={"exitCode": 1}, restarts=0)]),
    pod(conditions=[{"type": "PodScheduled", "status": "True"}]),
    {"metadata": {}},
]


@pytest.mark.parametrize("healthy", HEALTHY)
def test_nothing_is_wrong(healthy):
    assert diagnose(healthy, [event("Scheduled", "Successfully assigned"), event("Pulling", "Pulling image")]) is None


CAUSES = [
    (pod(containers=[container(waiting={"reason": "ErrImagePull", "message": "not found"})]),
     Cause.IMAGE, "registry/tf:1 cannot be pulled", "Choose another image", "not found"),
    (pod(containers=[container(waiting={"reason": "ImagePullBackOff", "message": "Back-off"})]),
     Cause.IMAGE, "cannot be pulled", "Choose another image", "Back-off"),
    (pod(containers=[container(waiting={"reason": "InvalidImageName"})]),
     Cause.IMAGE, "cannot be pulled", "Choose another image", "InvalidImageName"),
    (pod(conditions=[unschedulable("0/1 nodes are available: 1 Insufficient cpu. preemption: no victims.")]),
     Cause.ROOM, "enough free CPU", "Ask for less CPU", "Insufficient cpu"),
    (pod(conditions=[unschedulable("0/2 nodes are available: 1 Insufficient memory, 2 Insufficient cpu.")]),
     Cause.ROOM, "memory and CPU", "Ask for less", ""),
    (pod(conditions=[unschedulable("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")]),
     Cause.ROOM, "enough free GPUs", "Ask for less GPUs", "nvidia.com/gpu"),
    (pod(conditions=[unschedulable("no nodes available to schedule pods")]),
     Cause.ROOM, "has no node", "administrator", ""),
    (pod(conditions=[unschedulable("0/1 nodes are available: 1 node(s) had untolerated taint {x: y}.")]),
     Cause.ROOM, "No node takes", "administrator", "untolerated taint"),
    (pod(conditions=[unschedulable('persistentvolumeclaim "data" not found')]),
     Cause.VOLUME, "The volume data does not exist", "Choose another volume", ""),
    (pod(conditions=[unschedulable("pod has unbound immediate PersistentVolumeClaims")]),
     Cause.VOLUME, "not ready yet", "without a home volume", ""),
    (pod("Running", containers=[container(waiting={"reason": "CrashLoopBackOff"}, last={"exitCode": 3}, restarts=1)]),
     Cause.CRASH, "exit code 3", "end of its log", ""),
    (pod("Running", containers=[container(terminated={"exitCode": 1}, restarts=2)]),
     Cause.CRASH, "exit code 1", "end of its log", ""),
    (pod("Running", containers=[container(terminated={"exitCode": 137, "reason": "OOMKilled"})]),
     Cause.MEMORY, "more memory", "Ask for more memory", ""),
    (pod("Running", containers=[
        container(waiting={"reason": "CrashLoopBackOff"}, last={"exitCode": 137, "reason": "OOMKilled"})]),
     Cause.MEMORY, "more memory", "Ask for more memory", ""),
    (pod(containers=[container(waiting={"reason": "CreateContainerConfigError", "message": "secret x not found"})]),
     Cause.CONTAINER, "cannot be started", "administrator", "secret x not found"),
    (pod("Failed", reason="Evicted", message="The node was low on resource: memory."),
     Cause.ENDED, "ran out of memory", "Start it again", "Evicted The node was low"),
    (pod("Failed", reason="Evicted", message="The node was low on resource: ephemeral-storage. Threshold: 1"),
     Cause.ENDED, "ran out of disk space", "home volume are still there", "Threshold: 1"),
    (pod("Failed", reason="Evicted", message="Pod ephemeral local storage usage exceeds the total limit"),
     Cause.ENDED, "something that it needs", "Start it again", "exceeds the total limit"),
    (pod("Failed", reason="NodeAffinity", message="Pod was rejected"),
     Cause.ENDED, "was ended", "Try again", "NodeAffinity Pod was rejected"),
    (pod("Succeeded", containers=[container(terminated={"exitCode": 0})]),
     Cause.ENDED, "exit code 0", "log", ""),
]  # fmt: skip


@pytest.mark.parametrize(("state", "cause", "message", "remedy", "detail"), CAUSES, ids=lambda v: str(v)[:20])
def test_a_cause_is_named_with_its_remedy(state, cause, message, remedy, detail):
    found = diagnose(state, [])
    assert found is not None
    assert found.cause == cause
    assert message in found.message
    assert remedy in found.remedy
    assert detail in found.detail


def node(name, *taints):
    return {"metadata": {"name": name}, "spec": {"taints": [{"key": key, "effect": "NoSchedule"} for key in taints]}}


def test_nodes_that_are_in_need_are_named():
    found = diagnose(
        pod(conditions=[unschedulable("0/2 nodes are available: 2 node(s) had untolerated taint(s).")]), []
    )
    full = node("n1", "node.kubernetes.io/disk-pressure")
    lost = node("n2", "node.kubernetes.io/unreachable")
    told = of_taints(found, [full, lost, node("n3", "ours")])
    assert told.message == "No node takes this server: n1 has run out of disk space; n2 does not answer."
    assert (told.cause, told.detail) == (Cause.ROOM, found.detail)
    assert of_taints(found, [node("n3", "ours"), {"metadata": {"name": "n4"}, "spec": {}}]) is found
    other = diagnose(pod(conditions=[unschedulable("0/2 nodes are available: 2 Insufficient cpu.")]), [])
    assert of_taints(other, [full]) is other


def disrupted(reason, message="Eviction API: evicting"):
    return {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}


ENDS = [
    (pod("Running", conditions=[disrupted("EvictionByEvictionAPI")]), Cause.ENDED, "its node was drained"),
    (pod("Running", conditions=[disrupted("DeletionByTaintManager")]), Cause.ENDED, "its node was lost"),
    (pod("Running", conditions=[disrupted("TerminationByKubelet", "The node was low on resource: inodes. ")]),
     Cause.ENDED, "ran out of room for files"),
    (pod("Running", conditions=[disrupted("TerminationByKubelet", "Pod was ended: node shutdown.")]),
     Cause.ENDED, "its node was shut down"),
    (pod("Running", conditions=[disrupted("Later")]), Cause.ENDED, "the cluster took its pod away"),
    (pod("Failed", reason="Evicted", message="The node was low on resource: inodes.",
         containers=[container(terminated={"exitCode": 137})], conditions=[disrupted("TerminationByKubelet")]),
     Cause.ENDED, "ran out of room for files"),
    (pod("Running", containers=[container(running={"startedAt": "now"})]), Cause.GONE, "pod was deleted"),
    (pod("Running", containers=[container(terminated={"exitCode": 137, "reason": "OOMKilled"})]),
     Cause.MEMORY, "more memory"),
    (pod("Failed", containers=[container(terminated={"exitCode": 3})]), Cause.ENDED, "exit code 3"),
    ({"metadata": {}}, Cause.GONE, "pod was deleted"),
    ({**pod("Running", containers=[container(terminated={"exitCode": 0})]),
      "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, Cause.GONE, "pod was deleted"),
]  # fmt: skip


@pytest.mark.parametrize(("last", "cause", "message"), ENDS, ids=lambda v: str(v)[:20])
def test_why_a_server_that_ran_has_ended(last, cause, message):
    found = of_end(last)
    assert (found.cause, bool(found.remedy)) == (cause, True)
    assert message in found.message


PLACED = {"type": "PodScheduled", "status": "True"}


def test_a_volume_that_cannot_be_mounted():
    failed = event("FailedMount", "MountVolume.SetUp failed: no such disk")
    found = diagnose(pod(conditions=[PLACED]), [event("Scheduled", "assigned"), failed])
    assert found.cause == Cause.VOLUME
    assert "no such disk" in found.detail


def test_a_mount_that_worked_in_the_end_is_forgotten():
    failed = event("FailedMount", "timed out")
    assert diagnose(pod(conditions=[PLACED]), [failed, event("Pulling", "Pulling image")]) is None
    running = pod("Running", containers=[container(running={"startedAt": "now"})])
    assert diagnose(running, [failed]) is None


def test_an_old_trouble_of_a_claim_is_forgotten():
    failed = event("ProvisioningFailed", "out of disk", kind="PersistentVolumeClaim", name="claim-admin")
    failed["lastTimestamp"] = "2026-01-01T10:00:00Z"
    waiting = pod()
    waiting["metadata"]["creationTimestamp"] = "2026-01-01T11:00:00Z"
    assert diagnose(waiting, [failed]) is None
    assert diagnose(pod(conditions=[PLACED]), [failed]) is None
    short = pod(conditions=[unschedulable("0/1 nodes are available: 1 Insufficient cpu.")])
    assert diagnose(short, [failed]).cause == Cause.ROOM


def test_a_claim_that_cannot_be_made():
    failed = event("ProvisioningFailed", "out of disk", kind="PersistentVolumeClaim", name="claim-admin")
    waiting = pod(conditions=[unschedulable("pod has unbound immediate PersistentVolumeClaims")])
    found = diagnose(waiting, [failed])
    assert found.cause == Cause.VOLUME
    assert "claim-admin cannot be created" in found.message
    assert found.detail == "out of disk"
    made = event("ProvisioningSucceeded", "made", kind="PersistentVolumeClaim", name="claim-admin")
    assert diagnose(pod(), [failed, made]) is None


REFUSALS = [
    ('pods "jupyter-admin" is forbidden: exceeded quota: team, requested: requests.cpu=2, used: requests.cpu=3, '
     "limited: requests.cpu=4", Cause.QUOTA, "it needs 2 more of CPU, with 3 of 4 in use"),
    ('pods "jupyter-admin" is forbidden: violates PodSecurity "baseline:latest": privileged', Cause.POLICY, "rules"),
    ("pods is forbidden: maximum memory usage per Container is 1Gi, but limit is 4Gi", Cause.QUOTA, "at most 1Gi"),
    ("pods is forbidden: something new", Cause.REFUSED, "refused"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "cause", "words"), REFUSALS, ids=lambda v: str(v)[:20])
def test_a_refusal_of_the_api_server(message, cause, words):
    found = of_refusal("the server's pod", message)
    assert found.cause == cause
    assert words in found.message
    assert message in found.detail
