"""The view: our own writes stay in sight until the informers have caught up."""

from kf_spawner.operator.view import POD, View

KEY = "ns/mnist"


def obj(name: str, version: int, uid: str = "u1", **meta) -> dict:
    labels = {"training.kubeflow.org/job-name": "mnist"}
    return {
        "metadata": {
            "name": name, "namespace": "ns", "uid": uid, "resourceVersion": str(version), "labels": labels, **meta
        }
    }  # fmt: skip


def test_an_older_version_of_the_job_is_ignored():
    view = View()
    assert view.see_job(KEY, None, obj("mnist", 1))
    view.wrote_job(KEY, obj("mnist", 3))
    assert not view.see_job(KEY, obj("mnist", 1), obj("mnist", 2))
    assert view.of_job(KEY).job["metadata"]["resourceVersion"] == "3"
    assert not view.see_job(KEY, obj("mnist", 2), obj("mnist", 3))
    assert view.see_job(KEY, obj("mnist", 3), obj("mnist", 4))


def test_versions_compare_as_numbers():
    view = View()
    view.see_job(KEY, None, obj("mnist", 99))
    assert view.see_job(KEY, None, obj("mnist", 100))


def test_a_made_child_is_in_sight_at_once_and_outlives_news_of_the_one_before():
    view = View()
    view.see_job(KEY, None, obj("mnist", 1))
    old, new = obj("p", 2, "u-old"), obj("p", 5, "u-new")
    view.see_child(POD, None, old)
    view.wrote_child(KEY, POD, new)
    view.see_child(POD, old, None)
    assert view.of_job(KEY).pods["p"]["metadata"]["uid"] == "u-new"
    assert view.see_child(POD, new, None) == {KEY}
    assert view.of_job(KEY).pods == {}


def test_a_child_being_deleted_is_terminating_until_it_is_gone():
    view = View()
    pod = obj("p", 2)
    view.see_child(POD, None, pod)
    view.deleting_child(KEY, POD, "p", "u1", {"deletionTimestamp": "2026-01-01T00:00:00Z"})
    view.see_child(POD, pod, dict(pod))
    assert view.of_job(KEY).pods["p"]["metadata"]["deletionTimestamp"]
    assert "deletionTimestamp" not in pod["metadata"]
    view.see_child(POD, pod, None)
    assert view.of_job(KEY).pods == {}


def test_deleting_says_nothing_of_another_pod_of_the_name():
    view = View()
    view.see_child(POD, None, obj("p", 2, "u2"))
    view.deleting_child(KEY, POD, "p", "u1", {"deletionTimestamp": "2026-01-01T00:00:00Z"})
    assert "deletionTimestamp" not in view.of_job(KEY).pods["p"]["metadata"]


def test_an_answer_that_comes_after_the_end_brings_nothing_back():
    view = View()
    view.see_job(KEY, None, obj("mnist", 1))
    view.see_job(KEY, obj("mnist", 1), None)
    view.wrote_job(KEY, obj("mnist", 2))
    assert view.of_job(KEY).job is None
    assert len(view) == 0
