"""The four real processes: they start, are Kubernetes 1.37.2, keep what they acknowledged, and ask who calls."""

import json
import stat

import pytest


def test_kubectl_sees_the_pinned_version(control_plane):
    answer = json.loads(control_plane.kubectl("version", "--output=json").stdout)
    assert answer["serverVersion"]["gitVersion"] == "v1.37.2"
    assert answer["clientVersion"]["gitVersion"] == "v1.37.2"


def test_a_user_without_a_role_may_nothing(control_plane):
    stranger = control_plane.kubeconfig("stranger")
    for question in (["get", "secrets", "-A"], ["create", "namespace", "x"], ["get", "nodes"]):
        answer = control_plane.kubectl(*question, kubeconfig=stranger)
        assert answer.returncode != 0
        assert "Forbidden" in answer.stderr, answer.stderr
        assert 'User "stranger"' in answer.stderr


@pytest.mark.parametrize("victims", [["etcd"], ["kube-apiserver"], ["etcd", "kube-apiserver"]])
def test_what_was_acknowledged_survives_kill_9(new_control_plane, victims):
    plane = new_control_plane
    written = []
    for number in range(10):
        answer = plane.kubectl("create", "configmap", f"kept-{number}", "--from-literal=a=b")
        if answer.returncode == 0:
            written.append(f"configmap/kept-{number}")
    assert written
    for victim in victims:
        plane.kill(victim)
    plane.start(victims)
    found = plane.kubectl("get", "configmaps", "--output=name").stdout.split()
    assert set(written) <= set(found)


def test_every_secret_file_is_the_owners_alone(control_plane):
    home = control_plane.home
    files = [*home.glob("pki/*"), *home.glob("kubeconfigs/*"), home / "kubeconfig"]
    assert len(files) > 15
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for folder in (home, home / "pki", home / "kubeconfigs", home / "etcd"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
