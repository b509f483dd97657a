"""options: what a user may ask for, and what is said of everything else."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kf_spawner.spawner import options
from kf_spawner.spawner.catalogue import Image
from kf_spawner.spawner.cluster_facts import ClusterFacts, NodeFacts
from kf_spawner.spawner.options import Limits
from kf_spawner.wrong_input import WrongInput

GI = Fraction(1024**3)
CPU_IMAGE = Image("tf-cpu", "registry/tf-cpu:1", tensorflow="2.21.0")
GPU_IMAGE = Image("tf-gpu", "registry/tf-gpu:1", tensorflow="2.21.0", gpu=True)
OLD_IMAGE = Image("tf-old", "registry/tf-old:1", tensorflow="1.8.0")
CATALOGUE = (CPU_IMAGE, GPU_IMAGE, OLD_IMAGE)
DEFAULTS = Limits()
LAPTOP = ClusterFacts(
    nodes=(NodeFacts("laptop", cpu=Fraction(2), memory=8 * GI, unavailable={"tf-old": "there is no Python 3.6"}),),
    storage_classes=("local",),
    default_class="local",
)
CLUSTER = replace(LAPTOP, nodes=(NodeFacts("big", cpu=Fraction(64), memory=512 * GI, gpus=4, gpus_free=2),))


def validate(asked, *, facts=LAPTOP, limits=DEFAULTS, home_claim="claim-admin"):
    return options.validate(asked, catalogue=CATALOGUE, facts=facts, limits=limits, home_claim=home_claim)


def problems(asked, **kwargs):
    with pytest.raises(WrongInput) as caught:
        validate(asked, **kwargs)
    return caught.value.errors


def test_nothing_asked_for_gives_the_defaults():
    chosen = validate({})
    assert chosen == options.Options(CPU_IMAGE, "500m", "1Gi", 0, True, "10Gi", True)


def test_everything_asked_for_is_given():
    asked = {"image": "tf-gpu", "cpu": "1.5", "memory": "2Gi", "gpus": "2", "home": "own", "home_size": "20Gi"}
    asked["packages"] = "none"
    chosen = validate(asked, facts=CLUSTER)
    assert chosen == options.Options(GPU_IMAGE, "1.5", "2Gi", 2, True, "20Gi", False)


@pytest.mark.parametrize(
    "asked", [{"image": "registry/tf-cpu:1"}, {"cpu": 1}, {"cpu": 0.5}, {"gpus": 0}, {"home": None}]
)
def test_what_a_program_may_send(asked):
    validate(asked)


BAD = [
    # field, what is asked for, words that must be in the message
    ("image", {"image": "tf-3"}, ["'tf-3'", "not in the catalogue", "tf-cpu"]),
    ("image", {"image": ""}, ["choose one of"]),
    ("image", {"image": ["tf-cpu"]}, ["give one value"]),
    ("image", {"image": "tf-cpu "}, ["not in the catalogue"]),
    ("image", {"image": "tf-old"}, ["tf-old cannot run here", "there is no Python 3.6", "another image"]),
    ("image", {"image": "tf-gpu"}, ["no node of this cluster has an NVIDIA GPU"]),
    ("image", {"image": "evil/miner:latest"}, ["not in the catalogue"]),
    ("cpu", {"cpu": "much"}, ["'much'", "not an amount", "500m"]),
    ("cpu", {"cpu": ""}, ["not an amount"]),
    ("cpu", {"cpu": "-1"}, ["-1 is less", "at least 10m"]),
    ("cpu", {"cpu": "0"}, ["at least 10m"]),
    ("cpu", {"cpu": True}, ["not an amount"]),
    ("cpu", {"cpu": {"cores": 1}}, ["not an amount"]),
    ("cpu", {"cpu": "1 core"}, ["not an amount"]),
    ("cpu", {"cpu": "64"}, ["64 is more than any node", "at most 2"]),
    ("cpu", {"cpu": "9" * 50}, ["more than Kubernetes can count", "500m"]),
    ("memory", {"memory": "1GB"}, ["'1GB'", "512Mi"]),
    ("memory", {"memory": "1"}, ["1 is less", "at least 256Mi"]),
    ("memory", {"memory": "1Ti"}, ["more than any node", "at most 8Gi"]),
    ("memory", {"memory": "1e99"}, ["more than Kubernetes can count", "512Mi"]),
    ("memory", {"memory": "\x00"}, ["not an amount"]),
    ("memory", {"memory": "\u0661Gi"}, ["not an amount"]),
    ("gpus", {"gpus": "-1"}, ["'-1'", "whole number"]),
    ("gpus", {"gpus": "1.5"}, ["whole number"]),
    ("gpus", {"gpus": "all"}, ["whole number"]),
    ("gpus", {"gpus": True}, ["whole number"]),
    ("gpus", {"gpus": "17"}, ["more than the 16"]),
    ("gpus", {"gpus": "1"}, ["tf-cpu cannot use a GPU", "choose a GPU image"]),
    ("home", {"home": "mine"}, ["'mine'", "'own' or 'none'"]),
    ("home_size", {"home_size": "big"}, ["'big'", "10Gi"]),
    ("home_size", {"home_size": "10"}, ["10 is 10 bytes", "10Gi"]),
    ("home_size", {"home_size": "0"}, ["too small"]),
    ("home_size", {"home": "none", "home_size": "10Gi"}, ["no home volume", "leave it out"]),
    ("packages", {"packages": "old"}, ["'old'", "'own' or 'none'"]),
    ("profile", {"profile": "x"}, ["no such option", "image, cpu, memory"]),
    ("extra_resource_limits", {"extra_resource_limits": "{}"}, ["no such option"]),
    ("image_pull_secrets", {"image_pull_secrets": []}, ["no such option"]),
]


@pytest.mark.parametrize(("field", "asked", "words"), BAD, ids=lambda value: str(value)[:40])
def test_a_bad_value_is_refused_with_field_and_remedy(field, asked, words):
    (problem,) = problems(asked)
    assert problem.field == field
    for word in words:
        assert word in problem.message, problem.message
    assert len(problem.message) < 300


IN_OTHER_PLACES = [
    ("gpus", {"image": "tf-gpu", "gpus": "3"}, CLUSTER, Limits(), "2 of 4 are free"),
    ("cpu", {"cpu": "8"}, CLUSTER, Limits(max_cpu="4"), "at most 4"),
    ("memory", {"memory": "8Gi"}, CLUSTER, Limits(max_memory="4Gi"), "at most 4Gi"),
    ("home_size", {"home_size": "1Ti"}, CLUSTER, Limits(max_home_size="100Gi"), "more than the 100Gi"),
    ("home", {"home": "own"}, CLUSTER, Limits(home=False), "this hub has no home volumes"),
    ("home_size", {}, replace(CLUSTER, default_class=None), Limits(), "no default storage class"),
    ("home_size", {}, CLUSTER, Limits(storage_class="fast"), "fast that makes home volumes does not exist"),
    (
        "home_size",
        {"home_size": "20Gi"},
        replace(CLUSTER, claims={"claim-admin": "10Gi"}),
        Limits(),
        "exists and has",
    ),
    ("", {}, CLUSTER, Limits(extra_claims=("data",)), "the volume data"),
]


@pytest.mark.parametrize(("field", "asked", "facts", "limits", "words"), IN_OTHER_PLACES, ids=lambda v: str(v)[:30])
def test_what_this_cluster_cannot_give_is_refused(field, asked, facts, limits, words):
    (problem,) = problems(asked, facts=facts, limits=limits)
    assert problem.field == field
    assert words in problem.message


def test_all_problems_are_told_at_once():
    found = problems({"image": "tf-3", "cpu": "much", "memory": "1GB", "surprise": 1})
    assert [problem.field for problem in found] == ["surprise", "image", "cpu", "memory"]


def test_an_existing_home_is_used_as_it_is():
    facts = replace(LAPTOP, claims={"claim-admin": "5Gi"}, default_class=None)
    assert validate({}, facts=facts).home_size == "5Gi"
    assert validate({"home_size": "5Gi"}, facts=facts).home_size == "5Gi"


def test_no_home_needs_no_storage_class():
    assert not validate({"home": "none"}, facts=replace(LAPTOP, default_class=None)).home


def test_nodes_on_demand_may_bring_what_no_node_has():
    grows = replace(LAPTOP, grows=True)
    assert validate({"image": "tf-gpu", "gpus": "8", "cpu": "96", "memory": "1Ti"}, facts=grows).gpus == 8


def test_without_any_usable_image_each_reason_is_told():
    only_gpu = options.validate
    with pytest.raises(WrongInput, match=r"tf-gpu: no node of this cluster has an NVIDIA GPU"):
        only_gpu({}, catalogue=(GPU_IMAGE,), facts=LAPTOP, limits=Limits(), home_claim="c")


def test_the_configured_default_is_chosen_where_it_can_run():
    assert options.default_image(CATALOGUE, LAPTOP, Limits(default_image="tf-cpu")) is CPU_IMAGE
    assert options.default_image(CATALOGUE, CLUSTER, Limits(default_image="registry/tf-old:1")) is OLD_IMAGE
    assert options.default_image(CATALOGUE, LAPTOP, Limits(default_image="tf-old")) is CPU_IMAGE


def test_a_form_without_home_sends_a_size_that_is_ignored():
    assert options.from_form({"home": ["none"], "home_size": ["10Gi"]}) == {"home": "none"}


def test_a_field_that_comes_twice_is_refused():
    """Together with all that is wrong beside it."""
    form = options.from_form({"cpu": ["1", "2"], "memory": ["much"], "gpus": ["0"], "surprise": ["1", "1"]})
    found = problems(form)
    assert [problem.field for problem in found] == ["surprise", "cpu", "memory"]
    assert "came more than once" in found[1].message


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(options.FIELDS) | st.text(max_size=20), ANYTHING, max_size=8))
def test_whatever_comes_is_accepted_or_refused_in_words(asked):
    try:
        chosen = validate(asked)
    except WrongInput as error:
        told = [str(problem) for problem in error.errors]
    else:
        told = [chosen.image.name]
    assert told
    assert all(len(text) < 500 for text in told)
