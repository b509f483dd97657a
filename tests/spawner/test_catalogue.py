"""catalogue and cluster_facts: what is read from folders and from the API server's lists."""

import json
from fractions import Fraction
from pathlib import Path

import pytest

from kf_spawner.k8s.metadata import DEFAULT_CLASS
from kf_spawner.k8s.names import GPU
from kf_spawner.spawner import cluster_facts
from kf_spawner.spawner.catalogue import CatalogueError, Image, from_entries, read_folder

IMAGES = Path(__file__).parents[2] / "images"


def test_the_shipped_images_newest_first_cpu_before_gpu():
    entries = read_folder(IMAGES, registry="docker.io", repository="kf", tag="1")
    images = from_entries(entries)
    assert [image.name for image in images] == [
        "tensorflow-2.21.0-notebook-cpu",
        "tensorflow-2.21.0-notebook-gpu",
        "tensorflow-1.8.0-notebook-cpu",
        "tensorflow-1.8.0-notebook-gpu",
    ]
    assert images[0].reference == "docker.io/kf/tensorflow-2.21.0-notebook-cpu:1"
    assert [image.gpu for image in images] == [False, True, False, True]
    assert all(image.description and image.python for image in images)


def test_without_a_registry_the_reference_is_short():
    (entry, *_) = read_folder(IMAGES, registry="", repository="kf-spawner", tag="0.1.0")
    assert entry["reference"].startswith("kf-spawner/tensorflow-")


def test_an_empty_or_broken_folder_is_told(tmp_path):
    with pytest.raises(CatalogueError, match="KF_IMAGES_DIR"):
        read_folder(tmp_path, registry="", repository="", tag="1")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "image.json").write_text("{")
    with pytest.raises(CatalogueError, match=r"one/image\.json is not JSON"):
        read_folder(tmp_path, registry="", repository="", tag="1")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"name": "a"}, "reference is missing"),
        ({"reference": "a"}, "name is missing"),
        ({"name": "a", "reference": "a:1", "gpu": "yes"}, "gpu must be a bool"),
        ({"name": "a", "reference": "a:1", "size": 3}, "no field 'size'"),
    ],
)
def test_a_wrong_entry_is_told(entry, words):
    with pytest.raises(CatalogueError, match=words):
        from_entries([entry])


def test_a_name_may_not_come_twice():
    with pytest.raises(CatalogueError, match="twice"):
        from_entries([{"name": "a", "reference": "a:1"}, {"name": "a", "reference": "a:2"}])


def node(name, *, ready="True", gpus="0", annotations=None, unschedulable=False):
    return {
        "metadata": {"name": name, "annotations": annotations or {}},
        "spec": {"unschedulable": unschedulable},
        "status": {
            "allocatable": {"cpu": "1900m", "memory": "8Gi", GPU: gpus},
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


def gpu_pod(node_name, count, phase="Running"):
    container = {"resources": {"limits": {GPU: str(count)}}}
    return {"spec": {"nodeName": node_name, "containers": [container]}, "status": {"phase": phase}}


def test_free_gpus_are_those_of_one_node():
    known = cluster_facts.from_lists(
        nodes=[node("a", gpus="4"), node("b", gpus="2"), node("c", gpus="8", ready="False")],
        pods=[gpu_pod("a", 3), gpu_pod("b", 1, "Succeeded"), gpu_pod(None, 9)],
    )
    assert (known.gpus, known.gpus_free) == (4, 2)
    assert known.cpu == Fraction("1.9")


def test_an_image_is_unavailable_where_every_node_says_so():
    says = {cluster_facts.UNAVAILABLE: json.dumps({"old": "there is no Python 3.6"})}
    old = Image("old", "old:1")
    assert (
        cluster_facts.from_lists(nodes=[node("a", annotations=says)]).why_unavailable(old) == "there is no Python 3.6"
    )
    both = cluster_facts.from_lists(nodes=[node("a", annotations=says), node("b")])
    assert both.why_unavailable(old) is None
    not_ready = cluster_facts.from_lists(nodes=[node("a", annotations=says), node("b", unschedulable=True)])
    assert not_ready.why_unavailable(old) is not None
    assert cluster_facts.from_lists(nodes=[]).why_unavailable(old) is None


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "null", ""])
def test_an_annotation_that_cannot_be_read_announces_nothing(text):
    known = cluster_facts.from_lists(nodes=[node("a", annotations={cluster_facts.UNAVAILABLE: text})])
    assert known.why_unavailable(Image("old", "old:1")) is None


def test_claims_and_classes():
    claim = {
        "metadata": {"name": "claim-admin"},
        "spec": {"resources": {"requests": {"storage": "10Gi"}}},
        "status": {},
    }
    grown = {**claim, "metadata": {"name": "big"}, "status": {"capacity": {"storage": "20Gi"}}}
    default = {"metadata": {"name": "fast", "annotations": {DEFAULT_CLASS: "true"}}}
    known = cluster_facts.from_lists(
        nodes=[], claims=[claim, grown], storage_classes=[{"metadata": {"name": "slow"}}, default]
    )
    assert known.claims == {"claim-admin": "10Gi", "big": "20Gi"}
    assert known.default_class == "fast"
    assert known.storage_classes == ("slow", "fast")
