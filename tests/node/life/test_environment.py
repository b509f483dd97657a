"""What a container finds in its environment and on its command line."""

import pytest

from kf_spawner.kube.resources import CONFIGMAPS, SECRETS, SERVICES
from tests.node.pods import HELLO, IMAGE, Pods, sh, waits

FIELD = "valueFrom"


def field(path: str) -> dict:
    return {FIELD: {"fieldRef": {"fieldPath": path}}}


def resource(name: str, divisor: str = "0") -> dict:
    return {FIELD: {"resourceFieldRef": {"resource": name, "divisor": divisor}}}


RESOURCES = {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"cpu": "1500m", "memory": "1Gi"}}
VALUES = {
    # name: (entries of env, what `echo "[$X]"` says)
    "value": ([{"name": "X", "value": "a b"}], "[a b]"),
    "empty": ([{"name": "X"}], "[]"),
    "reference": ([{"name": "A", "value": "1"}, {"name": "X", "value": "$(A)$(A)"}], "[11]"),
    "later": ([{"name": "X", "value": "$(A)"}, {"name": "A", "value": "1"}], "[$(A)]"),
    "escaped": ([{"name": "A", "value": "1"}, {"name": "X", "value": "$$(A)"}], "[$(A)]"),
    "nobody": ([{"name": "X", "value": "$(NOBODY) $NOBODY"}], "[$(NOBODY) $NOBODY]"),
    "twice": ([{"name": "X", "value": "1"}, {"name": "X", "value": "2"}], "[2]"),
    "name": ([{"name": "X", **field("metadata.name")}], "[POD]"),
    "namespace": ([{"name": "X", **field("metadata.namespace")}], "[NAMESPACE]"),
    "uid": ([{"name": "X", **field("metadata.uid")}], "[UID]"),
    "label": ([{"name": "X", **field("metadata.labels['team']")}], "[red]"),
    "annotation": ([{"name": "X", **field("metadata.annotations['note']")}], "[two words]"),
    "no-label": ([{"name": "X", **field("metadata.labels['nobody']")}], "[]"),
    "node": ([{"name": "X", **field("spec.nodeName")}], "[NODE]"),
    "account": ([{"name": "X", **field("spec.serviceAccountName")}], "[default]"),
    "address": ([{"name": "X", **field("status.podIP")}], "[IP]"),
    "addresses": ([{"name": "X", **field("status.podIPs")}], "[IP]"),
    "host": ([{"name": "X", **field("status.hostIP")}], "[HOST]"),
    "cpu-request": ([{"name": "X", **resource("requests.cpu", "1m")}], "[250]"),
    "cpu-limit": ([{"name": "X", **resource("limits.cpu")}], "[2]"),
    "memory-limit": ([{"name": "X", **resource("limits.memory", "1Mi")}], "[1024]"),
    "config-map-key": ([{"name": "X", FIELD: {"configMapKeyRef": {"name": "settings", "key": "colour"}}}], "[green]"),
    "secret-key": ([{"name": "X", FIELD: {"secretKeyRef": {"name": "hidden", "key": "word"}}}], "[p$(A)]"),
    "optional-object": (
        [{"name": "X", FIELD: {"configMapKeyRef": {"name": "nobody", "key": "k", "optional": True}}}],
        "[]",
    ),
    "optional-key": (
        [{"name": "X", FIELD: {"secretKeyRef": {"name": "hidden", "key": "x", "optional": True}}}],
        "[]",
    ),
    "reference-to-a-field": (
        [{"name": "A", **field("metadata.labels['team']")}, {"name": "X", "value": "team $(A)"}],
        "[team red]",
    ),
}


@pytest.fixture
async def objects(pods: Pods) -> None:
    config = {"kind": "ConfigMap", "data": {"colour": "green", "size": "7"}}
    secret = {"kind": "Secret", "stringData": {"word": "p$(A)"}}
    for kind, name, body in ((CONFIGMAPS, "settings", config), (SECRETS, "hidden", secret)):
        await pods.client.apply(
            kind,
            {"apiVersion": "v1", "metadata": {"name": name, "namespace": pods.namespace}, **body},
            field_manager="test",
        )


@pytest.mark.parametrize("name", VALUES)
async def test_value(pods: Pods, objects: None, name: str) -> None:
    env, said = VALUES[name]
    meta = {"labels": {"team": "red"}, "annotations": {"note": "two words"}}
    pod = await pods.pod(sh('echo "[$X]"', env=env, resources=RESOURCES), restartPolicy="Never", metadata=meta)
    output = await pods.output(pod)
    now = await pods.get(pod)
    words = {
        "POD": now["metadata"]["name"],
        "NAMESPACE": pods.namespace,
        "UID": now["metadata"]["uid"],
        "NODE": pods.target.node,
        "IP": now["status"].get("podIP", ""),
        "HOST": now["status"]["hostIP"],
    }
    assert output == f"[{words.get(said[1:-1], said[1:-1])}]\n"


FROM = {
    # name: (envFrom, env, what is said)
    "config-map": ([{"configMapRef": {"name": "settings"}}], [], "green 7"),
    "prefix": ([{"prefix": "P_", "configMapRef": {"name": "settings"}}], [], " 7-"),
    "env-wins": ([{"configMapRef": {"name": "settings"}}], [{"name": "size", "value": "8"}], "green 8"),
    "secret": ([{"secretRef": {"name": "hidden"}}], [{"name": "colour", "value": "$(word)"}], "p$(A) "),
    "optional": ([{"configMapRef": {"name": "nobody", "optional": True}}], [], " "),
}


@pytest.mark.parametrize("name", FROM)
async def test_env_from(pods: Pods, objects: None, name: str) -> None:
    env_from, env, said = FROM[name]
    script = 'echo "$colour $size${P_size:+$P_size-}"'
    pod = await pods.pod(sh(script, env=env, envFrom=env_from), restartPolicy="Never")
    assert await pods.output(pod) == said + "\n"


MISSING = {
    "config-map": (
        {"env": [{"name": "X", FIELD: {"configMapKeyRef": {"name": "none", "key": "k"}}}]},
        'configmap "none" not found',
    ),
    "secret": (
        {"env": [{"name": "X", FIELD: {"secretKeyRef": {"name": "none", "key": "k"}}}]},
        'secret "none" not found',
    ),
    "config-map-key": (
        {"env": [{"name": "X", FIELD: {"configMapKeyRef": {"name": "settings", "key": "k"}}}]},
        "couldn't find key k in ConfigMap NAMESPACE/settings",
    ),
    "secret-key": (
        {"env": [{"name": "X", FIELD: {"secretKeyRef": {"name": "hidden", "key": "k"}}}]},
        "couldn't find key k in Secret NAMESPACE/hidden",
    ),
    "env-from": ({"envFrom": [{"secretRef": {"name": "none"}}]}, 'secret "none" not found'),
}


@pytest.mark.parametrize("name", MISSING)
async def test_what_is_not_there_holds_the_container(pods: Pods, objects: None, name: str) -> None:
    fields, said = MISSING[name]
    said = said.replace("NAMESPACE", pods.namespace)
    pod = await pods.pod(sh("true", **fields))
    # A kubelet that is slow to get an object says that first.
    pod = await pods.until(pod, lambda now: waits(now).get("message") == said)
    assert waits(pod)["reason"] == "CreateContainerConfigError"
    assert pod["status"]["phase"] == "Pending"
    assert await pods.event(pod, "Failed", said) == ("Warning", "Failed", f"Error: {said}")


async def test_a_config_map_that_comes_late_is_found(pods: Pods) -> None:
    reference = {"name": "COLOUR", FIELD: {"configMapKeyRef": {"name": "late", "key": "colour"}}}
    pod = await pods.pod(sh("echo $COLOUR", env=[reference]), restartPolicy="Never")
    await pods.waiting(pod, "CreateContainerConfigError")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}, "data": {"colour": "blue"}}
    await pods.client.create(CONFIGMAPS, body, pods.namespace)
    assert await pods.output(pod) == "blue\n"
    await pods.client.delete(CONFIGMAPS, "late", pods.namespace)


COMMANDS = {
    # name: (fields of the container, what it says)
    "image": ({}, HELLO),
    "arguments": ({"command": ["echo"], "args": ["a  b", "$(A)", "$(B)", "$$(A)"]}, "a  b 1 $(B) $(A)"),
    "in-the-command": ({"command": ["echo", "$(A)"]}, "1"),
    "hostname": ({"command": ["sh", "-c", "echo $HOSTNAME"]}, "POD"),
}


@pytest.mark.parametrize("name", COMMANDS)
async def test_command_and_arguments(pods: Pods, name: str) -> None:
    fields, said = COMMANDS[name]
    if name == "image" and pods.target.image != IMAGE:
        pytest.skip("the image that KF_TEST_IMAGE names has a command of its own")
    pod = await pods.pod({"env": [{"name": "A", "value": "1"}], **fields}, restartPolicy="Never")
    assert await pods.output(pod) == said.replace("POD", pod["metadata"]["name"]) + "\n"


@pytest.mark.parametrize("fields", [{"hostname": "other"}, {"hostnameOverride": "quite.another"}])
async def test_a_hostname_of_its_own(pods: Pods, fields: dict) -> None:
    pod = await pods.pod(sh("echo $HOSTNAME"), restartPolicy="Never", **fields)
    assert await pods.output(pod) == next(iter(fields.values())) + "\n"


async def test_services_of_the_namespace_are_in_the_environment_unless_the_pod_says_no(pods: Pods) -> None:
    spec = {"selector": {"a": "b"}, "ports": [{"port": 18600, "name": "rest-api"}]}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "my-model"}, "spec": spec}
    await pods.client.create(SERVICES, body, pods.namespace)
    try:
        script = 'echo "${MY_MODEL_SERVICE_HOST:+host} ${MY_MODEL_SERVICE_PORT_REST_API:+port}"'
        for links, said in ((True, "host port\n"), (False, " \n")):
            pod = await pods.pod(sh(script), restartPolicy="Never", enableServiceLinks=links)
            assert await pods.output(pod) == said
    finally:
        await pods.client.delete(SERVICES, "my-model", pods.namespace)


async def test_the_api_servers_address_is_in_the_environment(pods: Pods) -> None:
    pod = await pods.pod(
        sh('echo "${KUBERNETES_SERVICE_HOST:+host} ${KUBERNETES_SERVICE_PORT:+port}"'), restartPolicy="Never"
    )
    assert await pods.output(pod) == "host port\n"
