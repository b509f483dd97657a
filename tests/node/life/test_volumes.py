"""Volumes as a container sees them: what is in them, modes, sub-paths, and that they follow their objects."""

import base64

import pytest

from kf_spawner.kube.resources import CONFIGMAPS, PODS, SECRETS
from tests.node.pods import DATA, Pods, condition, container, sh, waits, with_data


def mounted(script: str, path: str = "/v", **fields: object) -> dict:
    """A container with the volume `v`."""
    return {**sh(script), "volumeMounts": [{"name": "v", "mountPath": path, **fields}]}


@pytest.fixture
async def objects(pods: Pods) -> None:
    binary = base64.b64encode(b"\xff\x01").decode()
    bodies = {
        CONFIGMAPS: {"kind": "ConfigMap", "data": {"a.txt": "A", "b": "two"}, "binaryData": {"raw": binary}},
        SECRETS: {"kind": "Secret", "stringData": {"word": "open"}},
    }
    for kind, body in bodies.items():
        meta = {"name": "things", "namespace": pods.namespace}
        await pods.client.apply(kind, {"apiVersion": "v1", "metadata": meta, **body}, field_manager="test")


LIST = (
    "cd /v && for f in $(find -L . -type f -not -path './..*' | sort); do echo $f $(od -An -c $f | tr -d ' '); done"
)
MODES = "cd /v && stat -L -c '%n %a' *"
SOURCES = {
    # name: (the volume's source, script, what it says)
    "config-map": ({"configMap": {"name": "things"}}, LIST, "./a.txt A\n./b two\n./raw 377001\n"),
    "config-map-items": (
        {"configMap": {"name": "things", "items": [{"key": "b", "path": "x/y"}]}},
        LIST,
        "./x/y two\n",
    ),
    "secret": ({"secret": {"secretName": "things"}}, LIST, "./word open\n"),
    "optional": ({"secret": {"secretName": "nobody", "optional": True}}, LIST, ""),
    "optional-key": (
        {"configMap": {"name": "things", "optional": True, "items": [{"key": "none", "path": "p"}]}},
        LIST,
        "",
    ),
    "downward": (
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        "cat /v/labels; echo",
        'team="red"\n',
    ),
    "projected": (
        {
            "projected": {
                "sources": [
                    {"configMap": {"name": "things", "items": [{"key": "b", "path": "both/b"}]}},
                    {"secret": {"name": "things"}},
                    {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
                ]
            }
        },
        "cd /v && cat both/b word && [ $(cat name) = $NS ] && echo",
        "twoopen\n",
    ),
    "default-mode": ({"secret": {"secretName": "things", "defaultMode": 0o400}}, MODES, "word 400\n"),
    "item-mode": (
        {"configMap": {"name": "things", "items": [{"key": "b", "path": "run", "mode": 0o500}]}},
        MODES,
        "run 500\n",
    ),
    "empty-dir": ({"emptyDir": {}}, "ls -A /v; echo x > /v/f; cat /v/f", "x\n"),
    "empty-dir-memory": ({"emptyDir": {"medium": "Memory"}}, "ls -A /v; echo x > /v/f; cat /v/f", "x\n"),
}


@pytest.mark.parametrize("name", SOURCES)
async def test_source(pods: Pods, objects: None, name: str) -> None:
    source, script, said = SOURCES[name]
    part = {**mounted(script), "env": [{"name": "NS", "value": pods.namespace}]}
    pod = await pods.pod(
        part, restartPolicy="Never", volumes=[{"name": "v", **source}], metadata={"labels": {"team": "red"}}
    )
    assert await pods.output(pod) == said


MISSING = {
    "secret": ({"secret": {"secretName": "none"}}, 'secret "none" not found'),
    "config-map": ({"configMap": {"name": "none"}}, 'configmap "none" not found'),
    "key": (
        {"configMap": {"name": "things", "items": [{"key": "k", "path": "p"}]}},
        "references non-existent config key: k",
    ),
}


@pytest.mark.parametrize("name", MISSING)
async def test_what_is_not_there_is_said_and_holds_the_pod(pods: Pods, objects: None, name: str) -> None:
    source, said = MISSING[name]
    pod = await pods.pod(mounted("true"), volumes=[{"name": "v", **source}])
    kind, _, message = await pods.event(pod, "FailedMount", said)
    assert kind == "Warning"
    assert message.startswith('MountVolume.SetUp failed for volume "v" : ')
    now = await pods.waiting(pod, "ContainerCreating")
    assert now["status"]["phase"] == "Pending"
    assert condition(now, "PodReadyToStartContainers") == "False"


async def test_what_comes_late_is_mounted(pods: Pods) -> None:
    pod = await pods.pod(
        mounted("cat /v/key"), restartPolicy="Never", volumes=[{"name": "v", "secret": {"secretName": "late"}}]
    )
    await pods.event(pod, "FailedMount", '"late" not found')
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late"}, "stringData": {"key": "42\n"}}
    await pods.client.create(SECRETS, body, pods.namespace)
    assert await pods.output(pod) == "42\n"
    await pods.client.delete(SECRETS, "late", pods.namespace)


@pytest.mark.parametrize("kind", ["configMap", "secret"])
async def test_a_volume_follows_its_object(pods: Pods, kind: str) -> None:
    resource, name = (CONFIGMAPS, "name") if kind == "configMap" else (SECRETS, "secretName")
    body = {"apiVersion": "v1", "kind": resource.kind, "metadata": {"name": "live"}}
    words = {"data" if kind == "configMap" else "stringData": {"word": "old"}}
    await pods.client.create(resource, body | words, pods.namespace)
    script = "cat /v/word; echo; until grep -q new /v/word; do sleep 0.1; done; ls /v"
    source = {kind: {name: "live"}}
    pod = await pods.pod(mounted(script), restartPolicy="Never", volumes=[{"name": "v", **source}])
    assert await pods.first_line(pod) == "old\n"
    patch = {key: {"word": "new", "more": "x"} for key in words}
    await pods.client.patch(resource, "live", patch, pods.namespace)
    # A kubelet looks at its volumes once a minute or so; a change of the pod makes it look at once.
    await pods.client.patch(PODS, pod["metadata"]["name"], {"metadata": {"annotations": {"x": "y"}}}, pods.namespace)
    pod = await pods.until(pod, lambda now: now["status"]["phase"] == "Succeeded", timeout=150)
    assert await pods.logs(pod) == "old\nmore\nword\n"
    await pods.client.delete(resource, "live", pods.namespace)


async def test_a_file_by_sub_path_does_not_follow_a_mount(pods: Pods) -> None:
    """Where nothing is mounted it does: it is the volume's own file."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "still"}, "data": {"word": "old"}}
    await pods.client.create(CONFIGMAPS, body, pods.namespace)
    part = mounted("until grep -q new /all/word; do sleep 0.1; done; cat /one", "/all")
    part["volumeMounts"].append({"name": "v", "mountPath": "/one", "subPath": "word"})
    pod = await pods.pod(part, restartPolicy="Never", volumes=[{"name": "v", "configMap": {"name": "still"}}])
    await pods.running(pod)
    await pods.client.patch(CONFIGMAPS, "still", {"data": {"word": "new"}}, pods.namespace)
    await pods.client.patch(PODS, pod["metadata"]["name"], {"metadata": {"annotations": {"x": "y"}}}, pods.namespace)
    pod = await pods.until(pod, lambda now: now["status"]["phase"] == "Succeeded", timeout=150)
    assert await pods.logs(pod) == ("old" if pods.target.containers else "new")
    await pods.client.delete(CONFIGMAPS, "still", pods.namespace)


async def test_the_pods_own_labels_follow(pods: Pods) -> None:
    items = [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
    script = "until grep -q blue /v/labels; do sleep 0.1; done"
    volumes = [{"name": "v", "downwardAPI": {"items": items}}]
    pod = await pods.pod(
        mounted(script), restartPolicy="Never", volumes=volumes, metadata={"labels": {"team": "red"}}
    )
    await pods.running(pod)
    patch = {"metadata": {"labels": {"team": "blue"}}}
    await pods.client.patch(PODS, pod["metadata"]["name"], patch, pods.namespace)
    await pods.until(pod, lambda now: now["status"]["phase"] == "Succeeded", timeout=150)


async def test_two_containers_share_a_volume(pods: Pods) -> None:
    first = with_data(sh("sleep 0.5; echo hello > /data/f; sleep 100"))
    second = with_data(sh("until [ -s /other/f ]; do sleep 0.1; done; cat /other/f; sleep 100"), "/other")
    pod = await pods.pod(first, second, **DATA)
    assert await pods.first_line(pod, "c1") == "hello\n"


async def test_sub_path(pods: Pods) -> None:
    first = sh("echo x > /mine/f")
    first["volumeMounts"] = [{"name": "data", "mountPath": "/mine", "subPath": "a/b"}]
    pod = await pods.pod(with_data(sh("cat /data/a/b/f")), init=[first], restartPolicy="Never", **DATA)
    assert await pods.output(pod) == "x\n"


async def test_sub_path_by_expression(pods: Pods) -> None:
    first = sh("echo x > /mine/f", env=[{"name": "ME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}])
    first["volumeMounts"] = [{"name": "data", "mountPath": "/mine", "subPathExpr": "of-$(ME)"}]
    pod = await pods.pod(with_data(sh("ls /data")), init=[first], restartPolicy="Never", **DATA)
    assert await pods.output(pod) == f"of-{pod['metadata']['name']}\n"


async def test_a_sub_path_cannot_lead_out(pods: Pods) -> None:
    part = sh("true")
    part["volumeMounts"] = [{"name": "data", "mountPath": "/mine", "subPath": "out/x"}]
    link = with_data(sh("ln -s / /data/out"))
    pod = await pods.pod(part, init=[link], **DATA)
    pod = await pods.waiting(pod, "CreateContainerConfigError")
    assert "subPath" in waits(pod)["message"]
    assert 'of container "c0"' in waits(pod)["message"]
    assert container(pod, "init0")["state"]["terminated"]["exitCode"] == 0
