"""What a pod is told about itself."""

import pytest

from kf_spawner.localcluster.node.common.downward_api import (
    FieldError,
    field_value,
    needs_allocatable,
    resource_value,
)

POD = {
    "metadata": {
        "name": "p",
        "namespace": "n",
        "uid": "u",
        "labels": {"b": "2", "a/x": '1"'},
        "annotations": {"note": "two\nlines"},
    },
    "spec": {
        "nodeName": "node",
        "serviceAccountName": "default",
        "containers": [
            {"name": "main", "resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": "1500m", "memory": "1G"}}}
        ],
        "initContainers": [{"name": "init"}],
    },
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "p"),
        ("metadata.namespace", "n"),
        ("metadata.uid", "u"),
        ("metadata.labels['a/x']", '1"'),
        ("metadata.labels['none']", ""),
        ("metadata.annotations['note']", "two\nlines"),
        ("metadata.labels", 'a/x="1\\""\nb="2"'),
        ("metadata.annotations", 'note="two\\nlines"'),
        ("spec.nodeName", "node"),
        ("spec.serviceAccountName", "default"),
        ("status.podIP", "127.5.0.1"),
        ("status.hostIP", "127.0.0.1"),
    ],
)
def test_fields(path, value):
    assert field_value(POD, path, pod_ip="127.5.0.1", host_ip="127.0.0.1") == value


def test_an_unknown_field_is_an_error():
    with pytest.raises(FieldError, match=r"spec\.containers"):
        field_value(POD, "spec.containers")


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ({"resource": "limits.memory"}, str(2**30)),
        ({"resource": "limits.memory", "divisor": "1Mi"}, "1024"),
        ({"resource": "requests.cpu"}, "2"),
        ({"resource": "requests.cpu", "divisor": "1m"}, "1500"),
        ({"resource": "limits.cpu"}, "4"),
        ({"resource": "limits.cpu", "containerName": "init", "divisor": "0"}, "4"),
        ({"resource": "requests.memory", "containerName": "init"}, "0"),
    ],
)
def test_resources(reference, value):
    assert resource_value(POD, reference, container="main", allocatable={"cpu": "4", "memory": "8Gi"}) == value


def test_the_node_is_asked_only_for_limits_that_are_not_set():
    assert needs_allocatable(POD, {"resource": "limits.cpu"}, container="main")
    assert not needs_allocatable(POD, {"resource": "limits.memory"}, container="main")
    assert not needs_allocatable(POD, {"resource": "requests.cpu", "containerName": "init"}, container=None)


def test_a_container_that_is_not_there_is_an_error():
    with pytest.raises(FieldError, match="nobody"):
        resource_value(POD, {"resource": "limits.cpu", "containerName": "nobody"}, container=None, allocatable={})
