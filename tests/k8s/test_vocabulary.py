"""Times, conditions and metadata, as the API has them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from kf_spawner.k8s import conditions, metadata, pod_reasons, times
from kf_spawner.k8s.names import resource_words

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678900, UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05Z", MOMENT.replace(microsecond=0)),
        ("2026-01-02T03:04:05.6789Z", MOMENT),
        ("2026-01-02T03:04:05.678900999Z", MOMENT),
        ("2026-01-02T05:04:05+02:00", MOMENT.replace(microsecond=0)),
    ],
)
def test_a_time_is_read(text, moment):
    assert times.parse(text) == moment
    assert times.parse(text).tzinfo is UTC


@pytest.mark.parametrize("text", ["", "now", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", "container log"])
def test_what_is_no_time(text):
    with pytest.raises(ValueError, match=r"Invalid|month|not a time"):
        times.parse(text)
    with pytest.raises(ValueError, match=r"Invalid|month|not a time"):
        times.parse_nanoseconds(text)


def test_no_nanosecond_is_lost():
    whole = int(MOMENT.timestamp()) * 10**9
    assert times.parse_nanoseconds("2026-01-02T03:04:05Z") == whole
    assert times.parse_nanoseconds("2026-01-02T03:04:05.6Z") == whole + 600_000_000
    assert times.parse_nanoseconds("2026-01-02T03:04:05.000000001Z") == whole + 1
    assert times.parse_nanoseconds("2026-01-02T05:04:05.123456789+02:00") == whole + 123_456_789


def test_a_time_is_written_in_utc():
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=2)))
    assert times.text(elsewhere) == "2026-01-02T03:04:05Z"
    assert times.text_of_nanoseconds(int(MOMENT.timestamp()) * 10**9 + 999_999_999) == "2026-01-02T03:04:05Z"
    assert times.micro_text(elsewhere) == "2026-01-02T03:04:05.678900Z"
    assert times.parse(times.micro_text(elsewhere)) == MOMENT


def test_the_age_of_an_object():
    made = {"metadata": {"creationTimestamp": "2026-01-02T03:04:00Z"}}
    assert times.age(made, MOMENT) == timedelta(seconds=5.6789)


def test_the_newest_time_of_an_event_counts():
    event = {
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "series": {"lastObservedTime": "2026-01-03T00:00:00.000000Z"},
    }
    assert times.of_event(event) == "2026-01-03T00:00:00.000000Z"
    assert times.of_event({**event, "lastTimestamp": "2026-01-04T00:00:00Z"}) == "2026-01-04T00:00:00Z"
    assert times.of_event({"firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": None}) == "2026-01-01T00:00:00Z"
    assert times.of_event({}) == ""


def test_a_condition_is_found_by_its_type():
    status = {
        "conditions": [{"type": "Ready", "status": "False", "reason": "Slow"}, {"type": "Idle", "status": "True"}]
    }
    assert conditions.find(status, "Ready")["reason"] == "Slow"
    assert not conditions.is_true(status, "Ready")
    assert conditions.is_true(status, "Idle")
    for without in (None, {}, {"conditions": None}, status):
        assert conditions.find(without, "Absent") == {}
        assert not conditions.is_true(without, "Absent")


def test_an_owner_is_a_controller_only_if_it_is_said():
    given = {"api_version": "v1", "kind": "Pod", "name": "a", "uid": "u"}
    plain = {"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "u"}
    assert metadata.owner_reference(**given) == plain
    controlling = metadata.owner_reference(**given, controller=True)
    assert controlling == {**plain, "controller": True, "blockOwnerDeletion": True}
    owned = {"metadata": {"ownerReferences": [plain, controlling]}}
    assert metadata.controllers(owned) == [controlling]
    assert metadata.controllers({"metadata": {}}) == []


def test_a_selector():
    assert metadata.selector({"a": "b", "c": "d"}) == "a=b,c=d"


def test_how_a_container_ended():
    now, before = {"exitCode": 1}, {"exitCode": 137, "reason": "OOMKilled"}
    assert pod_reasons.ended({"state": {"terminated": now}, "lastState": {"terminated": before}}) == now
    assert pod_reasons.ended({"state": {"running": {}}, "lastState": {"terminated": before}}) == before
    assert pod_reasons.ended({"state": {"running": {}}}) == {}
    assert pod_reasons.is_out_of_memory({"status": {"initContainerStatuses": [{"state": {"terminated": before}}]}})
    assert not pod_reasons.is_out_of_memory({"status": {"containerStatuses": [{"state": {"terminated": now}}]}})
    assert not pod_reasons.is_out_of_memory({})


def test_what_a_container_waits_for():
    waiting = {"state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
    assert pod_reasons.waiting(waiting) == ("ErrImagePull", "no such image")
    assert pod_reasons.waiting({"state": {"running": {}}}) == ("", "")


def test_what_a_node_ran_out_of():
    message = "The node was low on resource: ephemeral-storage. Threshold quantity: 1, available: 0."
    assert resource_words(pod_reasons.low_resource(message)) == "disk space"
    assert pod_reasons.low_resource("Pod ephemeral local storage usage exceeds 1Gi.") == ""
    assert resource_words("example.com/fpga") == "example.com/fpga"


@pytest.mark.parametrize(
    ("policy", "code", "phase", "deleted", "again"),
    [
        ("OnFailure", 137, "Running", None, True),
        ("OnFailure", 0, "Running", None, False),
        ("Always", 0, "Running", None, True),
        ("Never", 1, "Running", None, False),
        ("OnFailure", 137, "Failed", None, False),
        ("OnFailure", 137, "Running", "2026-01-01T00:00:00Z", False),
    ],
)
def test_a_container_that_ended_starts_again(policy, code, phase, deleted, again):
    metadata = {"deletionTimestamp": deleted} if deleted else {}
    container = {"state": {"terminated": {"exitCode": code}}}
    pod = {"metadata": metadata, "spec": {"restartPolicy": policy}}
    assert pod_reasons.starts_again({**pod, "status": {"phase": phase, "containerStatuses": [container]}}) is again
    running = {"phase": phase, "containerStatuses": [{"state": {"running": {}}}]}
    assert not pod_reasons.starts_again({**pod, "status": running})
