"""A job, its replicas and its events in words."""

from kf_spawner.workloads.job_view import events_about


def test_events_about_a_job_are_those_of_the_job_and_its_pods_in_their_order():
    def event(uid: str, time: str) -> dict:
        return {"metadata": {}, "involvedObject": {"uid": uid}, "lastTimestamp": time}

    late, early = event("pod", "2026-01-02T03:04:07Z"), event("job", "2026-01-02T03:04:06Z")
    assert events_about({"job", "pod"}, [late, event("other", "2026-01-02T03:04:06Z"), early]) == [early, late]
