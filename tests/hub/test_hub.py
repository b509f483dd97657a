"""The hub as users meet it: form, start, progress, refusal, failure and restart, on a real API server."""

import asyncio
import html
import json

import pytest

from kf_spawner import __version__
from kf_spawner.k8s.quota import in_words
from kf_spawner.kube import Client, Forbidden, load_config
from kf_spawner.kube.resources import (
    CLAIMS,
    NAMESPACES,
    NETWORKPOLICIES,
    PODS,
    RESOURCEQUOTAS,
    ROLEBINDINGS,
    SECRETS,
    SERVICEACCOUNTS,
)
from tests.fixtures.hub import Browser
from tests.fixtures.loop_time import cpu_of_process

from .conftest import CPU_IMAGE, POLICY, failure, is_ready, limit, progress, stopped, until, whose

pytestmark = pytest.mark.asyncio(loop_scope="session")


def claim_of(size: str) -> dict:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "large"}, "spec": spec}


async def test_the_form_shows_what_can_be_had(node, browser, user):
    status, page = await browser.get("/hub/spawn")
    assert status == 200
    page = html.unescape(page)
    assert "TensorFlow 2.21.0" in page
    assert "Not available: there is no Python 3.6 on this machine" in page
    assert "Not available: no node of this cluster has an NVIDIA GPU" in page
    assert f"claim-{user}" in page
    assert 'value="500m"' in page


async def test_a_start_makes_exactly_what_was_asked_for(node, browser, user, resources):
    status, _, _ = await browser.submit(
        user, image=CPU_IMAGE, cpu="250m", memory="2Gi", gpus="0", home="own", home_size="3Gi"
    )
    assert status == 200
    await until(lambda: is_ready(browser, user))

    namespace = await resources.client.get(NAMESPACES, resources.namespace)
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "baseline"
    assert namespace["metadata"]["annotations"]["kf-spawner.io/user"] == user
    await resources.client.get(SERVICEACCOUNTS, "notebook", resources.namespace)
    binding = await resources.client.get(ROLEBINDINGS, "notebook", resources.namespace)
    assert binding["roleRef"]["name"] == "kf-spawner-notebook"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "notebook", "namespace": resources.namespace}]
    policy = await resources.client.get(NETWORKPOLICIES, "kf-spawner", resources.namespace)
    assert policy["spec"] == POLICY
    quota = await resources.client.get(RESOURCEQUOTAS, "kf-spawner", resources.namespace)
    assert (quota["status"]["hard"]["pods"], quota["status"]["used"]["pods"]) == ("100", "1")
    with pytest.raises(Forbidden) as refused:
        await resources.client.create(CLAIMS, claim_of("500Ti"), resources.namespace)
    assert "a volume claim may have at most 100Gi" in in_words(refused.value.message)
    claim = await resources.claim()
    assert claim["spec"]["resources"]["requests"]["storage"] == "3Gi"

    spec = (await resources.pod())["spec"]
    (container,) = spec["containers"]
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert container["image"] == f"kf-spawner/{CPU_IMAGE}:0.1.0"
    assert container["args"] == ["jupyterhub-singleuser"]
    assert container["resources"] == {
        "requests": {"cpu": "250m", "memory": "2Gi"},
        "limits": {"memory": "8Gi"},
    }
    assert container["ports"][0]["containerPort"] == 8888
    assert container["securityContext"] == {"runAsUser": 1000, "allowPrivilegeEscalation": False}
    assert spec["securityContext"] == {"fsGroup": 100}
    assert spec["serviceAccountName"] == "notebook"
    assert spec["automountServiceAccountToken"] is True
    assert spec["enableServiceLinks"] is False
    assert {"name": "home", "persistentVolumeClaim": {"claimName": resources.claim_name}} in spec["volumes"]
    assert {"name": "home", "mountPath": "/home/jovyan"} in container["volumeMounts"]
    assert container["workingDir"] == "/home/jovyan"
    expected = {
        "HOME": "/home/jovyan",
        "KF_HOME_MOUNT": "/home/jovyan",
        "KF_JOB_HOME": "home/jovyan",
        "KF_HOME_CLAIM": resources.claim_name,
        "KF_PACKAGES": None,
        "KF_HUB_VERSION": __version__,
        "KF_IMAGE": container["image"],
        "KF_MODEL_SERVER_IMAGE": "kf-spawner/model-server:0.1.0",
        "KF_SERVING_URL": f"{browser.url}/serving",
        "JUPYTERHUB_DEFAULT_URL": "/lab",
        "JUPYTERHUB_SERVICE_PREFIX": f"/user/{user}/",
    }
    assert {name: environment.get(name) for name in expected} == expected


IMAGE = f"kf-spawner/{CPU_IMAGE}:0.1.0"
IMAGE_TOLD = f"Getting the image {IMAGE}."


async def told(node, browser, user, resources) -> list[dict]:
    """The progress entries of a start whose pod takes each step when the entry of the one before has been read."""
    node.behaviour = "nothing"
    await browser.submit(user, image=CPU_IMAGE)
    entries = []
    async with asyncio.timeout(60), browser.stream(f"/hub/api/users/{user}/server/progress") as response:
        async for line in response.content:
            if not line.startswith(b"data:"):
                continue
            entries.append(json.loads(line[5:]))
            match entries[-1]["message"]:
                case "Found a place on node bench.":
                    # Who waits for a volume says so again and again.
                    await node.event(await resources.claim(), "ExternalProvisioning", "waiting for a volume")
                    await node.event(await resources.pod(), "Pulling", f'Pulling image "{IMAGE}"')
                case message if message == IMAGE_TOLD:
                    await node.run(await resources.pod())
            if entries[-1].get("ready"):
                return entries
    raise AssertionError(entries)


async def test_progress_is_told_in_sentences_while_it_happens(node, browser, user, resources):
    entries = await told(node, browser, user, resources)
    said = [entry["message"] for entry in entries]
    for sentence in (
        f"Preparing your namespace kf-{user}.",
        f"Requesting your home volume claim-{user} of 10Gi.",
        IMAGE_TOLD,
        "Starting the notebook server.",
    ):
        assert sentence in said
    assert "Making the home volume." not in said[said.index("Found a place on node bench.") :]
    percents = [entry["progress"] for entry in entries]
    assert percents == sorted(percents)

    await stopped(browser, user)
    again = await told(node, browser, user, resources)
    assert not [entry["message"] for entry in again if "home volume" in entry["message"]], "it is there already"


async def test_a_wrong_value_is_told_beside_its_field_and_nothing_is_made(node, browser, user, resources):
    status, page, _ = await browser.submit(user, image=CPU_IMAGE, cpu="64", memory="lots")
    page = html.unescape(page)
    assert status == 400
    assert "64 is more than any node of this cluster has: ask for at most 4" in page
    assert "'lots' is not an amount" in page
    assert 'value="lots"' in page
    assert await resources.is_untouched()


BAD_BODIES = [
    ({"image": "ubuntu:latest"}, "image: 'ubuntu:latest' is not in the catalogue"),
    ({"image": "tensorflow-1.8.0-notebook-cpu"}, "there is no Python 3.6"),
    ({"cpu": "lots"}, "cpu: 'lots' is not an amount"),
    ({"memory": "1Ti"}, "memory: 1Ti is more than any node"),
    ({"gpus": 1}, "gpus: tensorflow-2.21.0-notebook-cpu cannot use a GPU"),
    ({"home_size": "10"}, "home_size: 10 is 10 bytes"),
    ({"profile": "big"}, "profile: there is no such option"),
    ({"user_options": ["image"]}, "user_options must be an object"),
]


async def test_bad_options_by_rest_are_refused_and_nothing_is_made(node, browser, user, resources):
    for body, words in BAD_BODIES:
        status, text = await browser.api("POST", f"/users/{user}/server", body)
        assert status == 400, (body, text)
        assert words in json.loads(text)["message"], (body, text)
    assert await resources.is_untouched()
    # What was refused is not remembered: a start without options is one with defaults.
    status, text = await browser.api("POST", f"/users/{user}/server", {})
    assert status in (201, 202), text


async def test_no_options_keep_the_hub_from_others(hub, node, browser, user, resources):
    before = cpu_of_process(hub.child.pid)
    status, text = await browser.api("POST", f"/users/{user}/server", {"cpu": "1" * 200_000 + "x"})
    assert (status, "is not an amount" in text) == (400, True)
    status, text = await browser.api(
        "POST", f"/users/{user}/server", {f"option{number}": 1 for number in range(15_000)}
    )
    assert (status, len(text) < 20_000, "there is no such option" in text) == (400, True, True)
    status, text = await browser.api("POST", f"/users/{user}/server", {"cpu": "1" * 300_000})
    assert status >= 400, "a body of more than 256 KiB is not read"
    assert "amount" not in text
    assert cpu_of_process(hub.child.pid) - before < 3
    assert await resources.is_untouched()


async def test_the_last_choice_is_remembered_but_not_what_failed(node, browser, user, resources):
    await browser.submit(user, image=CPU_IMAGE, cpu="300m", home="none")
    await until(lambda: is_ready(browser, user))
    await stopped(browser, user)
    node.behaviour = "crash"
    await failure(browser, user, image=CPU_IMAGE, cpu="400m")
    await browser.form(user)  # the first one after a failure, if the failure came later, shows what failed
    page = await browser.form(user)
    assert 'value="300m"' in page
    assert "checked" in page.partition('id="home-none"')[2].partition(">")[0]


async def test_without_a_home_volume_or_packages(node, browser, user, resources):
    """The home is the pod's own; the form's last choice is shown again."""
    await browser.submit(user, image=CPU_IMAGE, home="none", packages="none")
    await until(lambda: is_ready(browser, user))
    assert await resources.claim() is None
    pod = await resources.pod()
    assert {"name": "workspace", "emptyDir": {}} in pod["spec"]["volumes"]
    environment = {variable["name"]: variable.get("value") for variable in pod["spec"]["containers"][0]["env"]}
    assert "KF_HOME_CLAIM" not in environment
    assert environment["KF_PACKAGES"] == "none"
    await stopped(browser, user)
    assert "checked" in (await browser.form(user)).partition('id="packages"')[2].partition(">")[0]


FAILURES = [
    ("crash", "ended with exit code 3"),
    ("image_missing", "cannot be pulled"),
]


@pytest.mark.parametrize(("behaviour", "words"), FAILURES)
async def test_a_failed_start_says_why_and_leaves_no_pod(node, browser, user, resources, behaviour, words):
    node.behaviour = behaviour
    last = await failure(browser, user, image=CPU_IMAGE)
    assert words in last["message"]
    assert "<unknown>" not in last["html_message"]
    await until(resources.gone)
    assert await resources.claim() is not None


async def test_no_room_is_named_within_seconds(node, browser, user, resources):
    """Two servers of 3 cores each do not fit on a node of 4: the second is told so, and why."""

    async def is_empty() -> bool:
        return not (await resources.client.list(PODS))["items"]

    await until(is_empty)
    await browser.submit(user, image=CPU_IMAGE, cpu="3")
    await until(lambda: is_ready(browser, user))
    async with Browser(browser.url) as other:
        await other.login("admin")
        last = await failure(other, "admin", image=CPU_IMAGE, cpu="3", home="none")
    assert "No node has enough free CPU. Ask for less CPU" in last["message"]
    assert "Insufficient cpu" in last["message"]


async def test_a_quota_is_named(node, browser, user, resources):
    await browser.submit(user, image=CPU_IMAGE, home="none")
    await until(lambda: is_ready(browser, user))
    await stopped(browser, user)
    probe = {"containers": [{"name": "a", "image": "a", "resources": {"requests": {"cpu": "2"}}}]}
    await limit(resources, {"requests.cpu": "1"}, refused=(PODS, probe))
    last = await failure(browser, user, image=CPU_IMAGE, cpu="2")
    assert "Your quota does not allow" in last["message"]
    assert "it needs 2 more of CPU" in last["message"]
    assert await resources.pod() is None


async def test_a_namespace_of_somebody_else_is_not_entered(node, browser, user, resources):
    await resources.client.create(
        NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": resources.namespace}}
    )
    last = await failure(browser, user, image=CPU_IMAGE)
    assert "exists and is not yours" in last["message"]
    assert await resources.pod() is None


async def test_a_pod_deleted_while_it_starts_ends_the_start(node, browser, user, resources):
    node.behaviour = "nothing"
    await browser.submit(user, image=CPU_IMAGE, home="none")

    async def has_its_place() -> bool:
        pod = await resources.pod()
        return pod is not None and bool(pod["spec"].get("nodeName"))

    await until(has_its_place)
    await resources.client.delete(PODS, resources.pod_name, resources.namespace, grace_period=0)
    last = (await progress(browser, user))[-1]
    assert "was deleted while it started" in last["message"]


async def test_a_server_that_was_taken_away_is_told_on_the_form_until_it_runs_again(node, browser, user, resources):
    await browser.submit(user, image=CPU_IMAGE, home="none")
    await until(lambda: is_ready(browser, user))
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "evicting",
    }
    await resources.client.patch(
        PODS, resources.pod_name, {"status": {"conditions": [condition]}}, resources.namespace, subresource="status"
    )
    await resources.client.delete(PODS, resources.pod_name, resources.namespace, grace_period=0)

    async def is_told() -> bool:
        page = html.unescape(await browser.form(user))
        return "its node was drained" in page and "Kubernetes says: evicting" in page

    await until(is_told)
    await browser.submit(user, image=CPU_IMAGE, home="none")
    await until(lambda: is_ready(browser, user))
    await stopped(browser, user)
    assert 'id="ended"' not in await browser.form(user)


async def test_a_server_stays_between_two_runs_of_its_container(node, browser, user, resources):
    await browser.submit(user, image=CPU_IMAGE, home="none")
    await until(lambda: is_ready(browser, user))
    pod = await resources.pod()
    [status] = pod["status"]["containerStatuses"]
    status |= {"ready": False, "state": {"terminated": {"exitCode": 137, "reason": "Error"}}}
    await resources.client.patch(
        PODS, resources.pod_name, {"status": pod["status"]}, resources.namespace, subresource="status"
    )
    for _ in range(10):  # the hub asks its spawner each time, and may not have seen the status at first
        await browser.get("/hub/home")
    assert await is_ready(browser, user)
    assert (await resources.pod())["metadata"]["uid"] == pod["metadata"]["uid"]


async def test_a_server_whose_node_is_lost_ends_when_its_pod_is_given_up(node, browser, user, resources):
    await browser.submit(user, image=CPU_IMAGE, home="none")
    await until(lambda: is_ready(browser, user))
    await node.lose()
    await resources.client.delete(
        PODS, resources.pod_name, resources.namespace, grace_period=1
    )  # as Kubernetes does, later

    async def is_told() -> bool:
        return "The server's pod was deleted." in html.unescape(await browser.form(user))

    await until(is_told)
    assert await resources.pod() is None


async def test_a_server_whose_node_is_lost_can_be_stopped(node, browser, user, resources):
    await browser.submit(user, image=CPU_IMAGE, home="none")
    await until(lambda: is_ready(browser, user))
    await node.lose()
    await stopped(browser, user)
    assert await resources.pod() is None


async def test_a_killed_hub_finds_servers_and_sessions_again(hub, node, browser, user, resources):
    await browser.submit(user, image=CPU_IMAGE)
    await until(lambda: is_ready(browser, user))
    before = (await resources.pod())["metadata"]["uid"]
    await hub.kill()
    await hub.start()
    await until(lambda: is_ready(browser, user))  # with the same cookies
    assert (await resources.pod())["metadata"]["uid"] == before
    assert await whose(hub, await resources.token()) == user
    status, text = await browser.get(f"/user/{user}/api")
    assert status == 200
    assert "hand-made" in text


async def test_a_restarted_proxy_knows_its_routes_again(hub, node, browser, user):
    await browser.submit(user, image=CPU_IMAGE)
    await until(lambda: is_ready(browser, user))
    await hub.restart_proxy()

    async def answers() -> bool:
        status, text = await browser.get(f"/user/{user}/api")
        return status == 200 and "hand-made" in text

    await until(answers)


async def test_the_hub_may_not_do_more_than_it_needs(control_plane, hub_roles, cluster):
    async with Client(load_config(control_plane.credentials.client("hub")), user_agent="test") as hub_client:
        with pytest.raises(Forbidden):
            await hub_client.list(SECRETS, "kube-system")
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "more", "namespace": "default"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "User", "name": "kf-spawner:hub", "apiGroup": "rbac.authorization.k8s.io"}],
        }
        with pytest.raises(Forbidden):
            await hub_client.create(ROLEBINDINGS, binding)
