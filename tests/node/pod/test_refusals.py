"""What a pod cannot have here is refused by the name of its field, or named where it only lowers the pod's rights."""

import copy

import pytest

from kf_spawner.localcluster.node.pod.refusals import refuse, refuse_ephemeral, unenforced

POD = {
    "metadata": {"name": "p", "namespace": "n", "uid": "u"},
    "spec": {
        "securityContext": {"runAsUser": 1000, "fsGroup": 100, "runAsNonRoot": True, "supplementalGroups": [1]},
        "volumes": [
            {"name": "home", "persistentVolumeClaim": {"claimName": "c"}},
            {"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
            {"name": "config", "configMap": {"name": "m"}},
            {"name": "secret", "secret": {"secretName": "s"}},
            {"name": "me", "downwardAPI": {"items": []}},
            {"name": "own", "ephemeral": {"volumeClaimTemplate": {}}},
            {"name": "account", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
        ],
        "containers": [
            {
                "name": "main",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                    "readOnlyRootFilesystem": True,
                },
                "ports": [{"containerPort": 8888}],
                "volumeMounts": [{"name": "home", "mountPath": "/home/jovyan"}],
                "readinessProbe": {"httpGet": {"port": 1}},
            }
        ],
    },
}


def changed(path: str, value) -> dict:
    """POD with the field at `path` (dots, numbers for lists) set to `value`."""
    pod = copy.deepcopy(POD)
    *parents, last = path.split(".")
    place = pod["spec"]
    for part in parents:
        place = place[int(part)] if part.isdigit() else place.setdefault(part, {})
    if isinstance(place, list):
        place[int(last)] = value
    else:
        place[last] = value
    return pod


def test_an_ordinary_pod_is_not_refused():
    assert refuse(POD) == []


CASES = [
    ("hostNetwork", True, "spec.hostNetwork"),
    ("hostPID", True, "spec.hostPID"),
    ("hostIPC", True, "spec.hostIPC"),
    ("hostAliases", [{"ip": "127.0.0.1", "hostnames": ["a"]}], "spec.hostAliases"),
    ("dnsConfig", {"nameservers": ["1.1.1.1"]}, "spec.dnsConfig"),
    ("runtimeClassName", "gvisor", "spec.runtimeClassName"),
    ("resourceClaims", [{"name": "gpu"}], "spec.resourceClaims"),
    ("os", {"name": "windows"}, "spec.os.name"),
    ("securityContext.sysctls", [{"name": "a", "value": "1"}], "spec.securityContext.sysctls"),
    ("securityContext.windowsOptions", {"runAsUserName": "a"}, "spec.securityContext.windowsOptions"),
    ("containers.0.securityContext.privileged", True, "spec.containers[0].securityContext.privileged"),
    (
        "containers.0.securityContext.capabilities",
        {"add": ["NET_ADMIN"]},
        "spec.containers[0].securityContext.capabilities.add: NET_ADMIN",
    ),
    ("containers.0.securityContext.procMount", "Unmasked", "spec.containers[0].securityContext.procMount"),
    ("containers.0.securityContext.seLinuxOptions", {"type": "t"}, "seLinuxOptions"),
    ("containers.0.securityContext.seccompProfile", {"type": "Localhost"}, "seccompProfile"),
    ("containers.0.volumeDevices", [{"name": "d", "devicePath": "/dev/x"}], "spec.containers[0].volumeDevices"),
    ("containers.0.volumeMounts.0.mountPropagation", "Bidirectional", "volumeMounts[0].mountPropagation"),
    ("containers.0.volumeMounts.0.recursiveReadOnly", "Enabled", "volumeMounts[0].recursiveReadOnly"),
    ("containers.0.volumeMounts.0.mountPath", "/", "volumeMounts[0].mountPath"),
    ("containers.0.ports.0.hostPort", 80, "spec.containers[0].ports[0].hostPort"),
    ("containers.0.livenessProbe", {"grpc": {"port": 1}}, "spec.containers[0].livenessProbe.grpc"),
    ("volumes.0", {"name": "v", "hostPath": {"path": "/"}}, 'spec.volumes[0] "v": hostPath'),
    ("volumes.0", {"name": "v", "nfs": {"server": "a", "path": "/"}}, 'spec.volumes[0] "v": nfs'),
    ("volumes.0", {"name": "v", "csi": {"driver": "d"}}, 'spec.volumes[0] "v": csi'),
    ("volumes.0", {"name": "v", "image": {"reference": "r"}}, 'spec.volumes[0] "v": image'),
    ("volumes.0", {"name": "v", "emptyDir": {"medium": "HugePages"}}, "medium HugePages"),
    (
        "volumes.0",
        {"name": "v", "projected": {"sources": [{"clusterTrustBundle": {"path": "p"}}]}},
        "projected.sources[0].clusterTrustBundle",
    ),
    ("initContainers", [{"name": "i", "securityContext": {"privileged": True}}], "spec.initContainers[0]"),
]


@pytest.mark.parametrize(("path", "value", "said"), CASES, ids=[f"{case[0]}-{case[2][-20:]}" for case in CASES])
def test_a_field_that_cannot_be_had_is_named_with_a_remedy(path, value, said):
    reasons = refuse(changed(path, value))
    assert len(reasons) == 1
    assert said in reasons[0]
    assert any(word in reasons[0] for word in (";", "use ", "remove", "cluster")), "says what to do instead"


def test_every_reason_is_said_at_once():
    pod = changed("hostNetwork", True)
    pod["spec"]["hostPID"] = True
    assert len(refuse(pod)) == 2


def test_debug_containers_are_refused_apart_so_that_the_pod_goes_on():
    pod = changed("ephemeralContainers", [{"name": "debugger"}])
    assert refuse(pod) == []
    assert "kubectl exec" in refuse_ephemeral(pod)[0]


def test_what_has_no_effect_is_named():
    assert unenforced(POD) == [
        "spec.securityContext.runAsUser",
        "spec.securityContext.runAsNonRoot",
        "spec.securityContext.fsGroup",
        "spec.securityContext.supplementalGroups",
        "spec.volumes[1].emptyDir.sizeLimit",
        "spec.containers[0].securityContext.readOnlyRootFilesystem",
        "spec.containers[0].securityContext.allowPrivilegeEscalation",
        "spec.containers[0].securityContext.capabilities.drop",
        "spec.containers[0].securityContext.seccompProfile",
    ]


UNENFORCED = [
    ("containers.0.resources", {"limits": {"cpu": "1", "memory": "1Gi"}}, "spec.containers[0].resources.limits.cpu"),
    ("containers.0.volumeMounts.0.readOnly", True, "spec.containers[0].volumeMounts[0].readOnly"),
    ("volumes.0.persistentVolumeClaim.readOnly", True, "spec.volumes[0].persistentVolumeClaim.readOnly"),
    ("containers.0.securityContext.runAsUser", 0, "spec.containers[0].securityContext.runAsUser"),
    ("initContainers", [{"name": "i", "securityContext": {"runAsGroup": 1}}], "spec.initContainers[0]"),
]


@pytest.mark.parametrize(("path", "value", "said"), UNENFORCED, ids=[case[0] for case in UNENFORCED])
def test_each_field_without_effect(path, value, said):
    (field,) = set(unenforced(changed(path, value))) - set(unenforced(POD))
    assert field.startswith(said)


def test_what_is_so_by_itself_is_not_named():
    """Every pod with an account has such a mount, and a file of a ConfigMap is read-only in a container too."""
    pod = {
        "metadata": POD["metadata"],
        "spec": {
            "securityContext": {"seccompProfile": {"type": "Unconfined"}, "runAsNonRoot": False},
            "volumes": POD["spec"]["volumes"][6:],
            "containers": [{"name": "c", "volumeMounts": [{"name": "account", "mountPath": "/a", "readOnly": True}]}],
        },
    }
    assert unenforced(pod) == []
