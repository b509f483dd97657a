"""The chart's life on a real API server: install without values, upgrade, rollback, uninstall, install again."""

import base64
import json

import pytest

from tests.fixtures.helm import CHART, RELEASE, HelmFailed

TFJOB = """
apiVersion: kubeflow.org/v1
kind: TFJob
metadata: {name: kept}
spec:
  tfReplicaSpecs:
    Worker:
      template:
        spec:
          containers: [{name: tensorflow, image: "busybox:1"}]
"""

CLUSTER_WIDE = "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings"


@pytest.fixture
def kubectl(plane, helm):
    def run(*arguments: str) -> str:
        done = plane.kubectl("--namespace", helm.namespace, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def secrets(kubectl) -> dict[str, str]:
    data = json.loads(kubectl("get", "secret", "hub", "-o", "json"))["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def revision_of(kubectl, deployment: str) -> str:
    return json.loads(kubectl("get", "deployment", deployment, "-o", "json"))["metadata"]["generation"]


def test_install_upgrade_rollback_uninstall(helm, kubectl, plane, tmp_path):
    notes = helm.run("install", RELEASE, str(CHART))
    commands = [line.strip() for line in notes.splitlines() if line.strip().startswith("kubectl")]
    assert [command.partition(" -o ")[0].partition("  ")[0] for command in commands] == [
        f"kubectl -n {helm.namespace} rollout status deployment/hub deployment/door",
        f"kubectl -n {helm.namespace} get secret hub",
        f"kubectl -n {helm.namespace} port-forward service/door 8000:80",
    ]
    first = secrets(kubectl)
    assert len(first["password"]) >= 20
    assert len(bytes.fromhex(first["cookie-secret"])) == 32

    # An upgrade that changes the operator: secrets stay, and so does every other part's pod.
    before = {part: revision_of(kubectl, part) for part in ("hub", "proxy", "door", "operator", "dashboard")}
    helm.run("upgrade", RELEASE, str(CHART), values={"operator": {"workers": 4}})
    assert secrets(kubectl) == first
    after = {part: revision_of(kubectl, part) for part in before}
    assert [part for part in before if before[part] != after[part]] == ["operator"]

    # A new password takes effect: the hub restarts.
    helm.run("upgrade", RELEASE, str(CHART), values={"hub": {"password": "of my own"}})
    assert secrets(kubectl) == {**first, "password": "of my own"}
    assert revision_of(kubectl, "hub") != after["hub"]

    # Back to the beginning: the first password again.
    helm.run("rollback", RELEASE, "1")
    assert secrets(kubectl) == first
    assert "--workers=16" in kubectl("get", "deployment", "operator", "-o", "yaml")

    job = tmp_path / "job.yaml"
    job.write_text(TFJOB)
    kubectl("wait", "--for=condition=Established", "crd/tfjobs.kubeflow.org")
    kubectl("apply", "-f", str(job))
    helm.run("uninstall", RELEASE)
    kept = kubectl("get", "tfjobs,persistentvolumeclaims", "-o", "name").split()
    assert kept == ["tfjob.kubeflow.org/kept", "persistentvolumeclaim/hub-db"]
    assert "kf-spawner" not in kubectl("get", CLUSTER_WIDE, "-o", "name")

    # What was kept is taken up again; and asked for, all of it goes.
    helm.run(
        "install", RELEASE, str(CHART), values={"crds": {"keep": False}, "hub": {"db": {"pvc": {"keep": False}}}}
    )
    assert "kept" in kubectl("get", "tfjobs", "-o", "name")
    helm.run("uninstall", RELEASE)
    kubectl("wait", "--for=delete", "crd/tfjobs.kubeflow.org")
    assert kubectl("get", "persistentvolumeclaims", "-o", "name") == ""


def test_a_secret_that_lacks_a_key_is_refused_before_anything_is_changed(helm, kubectl):
    """As one that was made for a chart without this key."""
    keys = [f"--from-literal={key}=x" for key in ("password", "cookie-secret", "proxy-token", "dashboard-token")]
    kubectl("create", "secret", "generic", "own", *keys)
    with pytest.raises(HelmFailed, match=r"hub\.existingSecret: the Secret own has no key door-token: add it"):
        helm.run("install", RELEASE, str(CHART), values={"hub": {"existingSecret": "own"}})
    assert kubectl("get", "deployments", "-o", "name") == ""


def test_an_upgrade_brings_the_definition_of_jobs_up_to_date(helm, kubectl):
    """What somebody changed by hand is theirs: helm says so, and takes it back only where it is told to."""
    helm.run("install", RELEASE, str(CHART))
    shorter = json.dumps([{"op": "remove", "path": "/spec/versions/0/additionalPrinterColumns"}])
    kubectl("patch", "crd", "tfjobs.kubeflow.org", "--type=json", "-p", shorter)
    with pytest.raises(HelmFailed, match=r'conflict.* with "kubectl-patch"'):
        helm.run("upgrade", RELEASE, str(CHART))
    helm.run("upgrade", RELEASE, str(CHART), "--force-conflicts")
    path = "jsonpath={.spec.versions[0].additionalPrinterColumns}"
    columns = kubectl("get", "crd", "tfjobs.kubeflow.org", "-o", path)
    assert "State" in columns
    helm.run("uninstall", RELEASE)
    kubectl("delete", "crd", "tfjobs.kubeflow.org")


def test_a_z2jh_file_installs(helm, kubectl, z2jh):
    helm.run("install", RELEASE, str(CHART), values=z2jh)
    assert "registry.example.com/teaching" in kubectl("get", "daemonset", "continuous-image-puller", "-o", "yaml")
    assert len(secrets(kubectl)) == 5
    helm.run("uninstall", RELEASE)
    kubectl("delete", "crd", "tfjobs.kubeflow.org")


def test_one_installation_a_cluster(helm, plane, kubectl, program, tmp_path):
    """Roles and users' namespaces are the cluster's: a second installation is refused before it changes anything."""
    helm.run("install", RELEASE, str(CHART))
    plane.kubectl("create", "namespace", f"{helm.namespace}-second")
    second = type(helm)(
        program, folder=tmp_path, kubeconfig=plane.admin_kubeconfig, namespace=f"{helm.namespace}-second"
    )
    with pytest.raises(HelmFailed, match=r"tfjobs\.kubeflow\.org|kf-spawner-"):
        second.run("install", RELEASE, str(CHART))
    helm.run("uninstall", RELEASE)
    kubectl("delete", "crd", "tfjobs.kubeflow.org")
