"""progress_text, progress, form and errors: what a user reads."""

import asyncio
import contextlib
from fractions import Fraction

import pytest

from kf_spawner.spawner import errors, form
from kf_spawner.spawner.catalogue import Image
from kf_spawner.spawner.cluster_facts import ClusterFacts, NodeFacts
from kf_spawner.spawner.diagnosis import Cause, Diagnosis
from kf_spawner.spawner.options import Limits
from kf_spawner.spawner.progress import Progress
from kf_spawner.spawner.progress_text import sentence, steps
from kf_spawner.wrong_input import FieldError, WrongInput

SAID = [
    ("Pulling", 'Pulling image "kf-spawner/tf:1"', 25, "Getting the image kf-spawner/tf:1."),
    ("Pulling", "downloading tensorflow 50 %", 45, "Getting the image: downloading tensorflow 50 %"),
    ("Pulling", "downloading 250 %", 65, "Getting the image: downloading 250 %"),
    ("Pulling", "Downloading tensorflow (588 MiB)", None, "Getting the image: Downloading tensorflow (588 MiB)"),
    ("Pulled", 'Successfully pulled image "a:1" in 3s', 65, "The image a:1 is ready."),
    ("Pulled", 'Container image "a:1" already present on machine', 65, "The image a:1 is already on the node."),
    ("SomethingNew", "All is well", None, "All is well"),
]


@pytest.mark.parametrize(("reason", "message", "percent", "words"), SAID, ids=lambda v: str(v)[:25])
def test_an_event_in_words(reason, message, percent, words):
    assert sentence({"reason": reason, "message": message, "type": "Normal"}) == (percent, words)


def test_a_warning_is_told_and_noise_is_not():
    assert sentence({"reason": "Odd", "message": "disk is slow", "type": "Warning"}) == (
        None,
        "Problem: disk is slow",
    )
    assert sentence({"reason": "Scheduled", "message": "Successfully assigned a/b to c", "type": "Normal"}) is None
    assert sentence({"reason": "Created", "message": "Created container", "type": "Normal"}) is None
    assert sentence({"reason": "NotEnforced", "message": "no effect: runAsUser", "type": "Normal"}) is None
    assert sentence({"reason": "Quiet", "type": "Normal"}) is None


def test_a_pod_shows_its_steps_without_any_event():
    pod = {"spec": {}, "status": {"containerStatuses": [{"name": "notebook", "state": {"waiting": {}}}]}}
    assert steps(pod, "notebook") == []
    pod["spec"]["nodeName"] = "laptop"
    placed = (20, "Found a place on node laptop.")
    assert steps(pod, "notebook") == [placed]
    pod["status"]["containerStatuses"].append({"name": "sidecar", "state": {"running": {}}})
    assert steps(pod, "notebook") == [placed]
    pod["status"]["containerStatuses"][0]["state"] = {"running": {"startedAt": "2026-11-30T00:00:00Z"}}
    assert steps(pod, "notebook") == [placed, (75, "Starting the notebook server.")]


async def test_progress_is_followed_by_many_and_never_goes_back():
    progress = Progress()
    progress.say("one", 10)

    async def first(count):
        entries = []
        async with contextlib.aclosing(progress.follow()) as following:
            while len(entries) < count:
                entries.append(await anext(following))
        return entries

    early = asyncio.create_task(first(3))
    await asyncio.sleep(0)
    progress.say("two", 5)
    progress.say("two")
    progress.say("three", 30)
    late = await first(3)
    assert late == await early
    assert [(e["progress"], e["message"]) for e in late] == [(10, "one"), (10, "two"), (30, "three")]


CATALOGUE = (
    Image("new", "r/new:1", "All new", "2.21.0", "3.11"),
    Image("gpu", "r/gpu:1", "", "2.21.0", "3.11", True),
)
FACTS = ClusterFacts(
    nodes=(NodeFacts("n", Fraction(2), Fraction(8 * 1024**3)),), storage_classes=("s",), default_class="s"
)


def render(values=None, problems=(), facts=FACTS, limits=None):
    return form.render(
        catalogue=CATALOGUE,
        facts=facts,
        limits=limits or Limits(),
        home_claim="claim-admin",
        values=values or {},
        errors=problems,
    )


def test_the_form_shows_defaults_and_what_cannot_be_had():
    html = render()
    assert 'value="500m"' in html
    assert 'value="1Gi"' in html
    assert "At most 2." in html
    assert "At most 8Gi." in html
    assert "Not available: no node of this cluster has an NVIDIA GPU" in html
    checked = html.partition('value="new"')[2].partition(">")[0]
    assert "checked" in checked
    disabled = html.partition('value="gpu"')[2].partition(">")[0]
    assert "disabled" in disabled


def test_the_form_keeps_a_refused_value_beside_its_message():
    html = render(
        {"memory": "<b>lots</b>", "home": "none"}, [FieldError("memory", "'<b>lots</b>' is not a quantity")]
    )
    assert 'value="&lt;b&gt;lots&lt;/b&gt;"' in html
    assert "<b>lots" not in html
    assert 'id="memory-problem">&#39;&lt;b&gt;lots' in html
    none = html.partition('id="home-none"')[2].partition(">")[0]
    assert "checked" in none


def test_the_form_says_that_no_node_is_ready():
    assert "No node of the cluster is ready yet" in render(facts=ClusterFacts(default_class="s"))
    assert "is ready yet" not in render()


def test_an_existing_home_has_no_size_to_choose():
    html = render(facts=ClusterFacts(nodes=FACTS.nodes, claims={"claim-admin": "7Gi"}))
    assert "(7Gi, exists)" in html
    assert 'name="home_size"' not in html


def test_without_home_volumes_none_is_offered():
    html = render(limits=Limits(home=False))
    assert 'id="home-own"' not in html


def test_a_failure_is_safe_in_html_and_plain_in_text():
    diagnosis = Diagnosis(Cause.CRASH, "It <crashed>.", "Fix it.", "says <b>k8s</b>", crashed=True)
    failure = errors.failed(diagnosis, log_tail="\x1b[31mTraceback\x1b[0m <script>\x07\n")
    assert failure.reason == "crash"
    assert failure.status_code == 424
    assert "Traceback <script>" in failure.jupyterhub_message
    assert "\x1b" not in failure.jupyterhub_message
    assert "Traceback &lt;script&gt;" in failure.jupyterhub_html_message
    assert "<crashed>" not in failure.jupyterhub_html_message
    assert "<b>k8s" not in failure.jupyterhub_html_message


def test_a_refusal_tells_every_problem():
    failure = errors.refused(WrongInput([FieldError("cpu", "too <much>"), FieldError("memory", "too little")]))
    assert failure.status_code == 400
    assert failure.jupyterhub_message == "cpu: too <much>; memory: too little"
    assert "<li>cpu: too &lt;much&gt;</li><li>memory: too little</li>" in failure.jupyterhub_html_message
