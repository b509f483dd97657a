"""The accounts of the chart's parts: who has a token, which roles are bound to it, and which policies bind it."""

import json

import pytest
import yaml

from tests.fixtures.helm import CHART, HelmFailed, only

MANIFESTS = CHART.parents[1] / "kf_spawner" / "manifests"


def test_only_the_hubs_proxy_gets_no_token(renderer):
    objects = renderer.render()
    accounts = {
        obj["metadata"]["name"]: obj["spec"]["template"]["spec"].get("serviceAccountName")
        for obj in objects
        if obj["kind"] == "Deployment" and obj["spec"]["template"]["spec"]["automountServiceAccountToken"]
    }
    assert accounts == {"hub": "hub", "operator": "operator", "dashboard": "dashboard", "door": "door"}


def test_the_roles_are_the_packages(renderer):
    objects = renderer.render()
    for file in MANIFESTS.glob("rbac-*.yaml"):
        for role in yaml.safe_load_all(file.read_text()):
            assert only(objects, "ClusterRole", role["metadata"]["name"])["rules"] == role["rules"]
    bound = {
        (obj["kind"], obj["roleRef"]["name"], obj["subjects"][0]["name"])
        for obj in objects
        if obj["kind"] in ("ClusterRoleBinding", "RoleBinding") and "doctor" not in obj["metadata"]["name"]
    }
    assert bound == {
        ("ClusterRoleBinding", "kf-spawner-hub", "hub"),
        ("ClusterRoleBinding", "kf-spawner-operator", "operator"),
        ("ClusterRoleBinding", "kf-spawner-dashboard", "dashboard"),
        ("ClusterRoleBinding", "kf-spawner-door", "door"),
        ("RoleBinding", "kf-spawner-operator-leader", "operator"),
    }


def test_the_policies_are_the_packages_and_bind_the_charts_accounts(renderer):
    """Also where somebody brings roles and accounts of their own."""
    mine = {
        "rbac": {"create": False},
        "hub": {"serviceAccount": {"create": False, "name": "my-hub"}},
        "operator": {"serviceAccount": {"create": False, "name": "my-operator"}},
    }
    fast = {"singleuser": {"storage": {"dynamic": {"storageClass": "fast"}}}}
    for values, names, classes in (
        ({}, ("hub", "operator"), "[]"),
        (mine | fast, ("my-hub", "my-operator"), "['fast']"),
    ):
        objects = renderer.render(values)
        for file in MANIFESTS.glob("policy-*.yaml"):
            text = file.read_text().replace("['kf-spawner:home-class']", classes)
            for part, name in zip(("hub", "operator", "doctor"), (*names, "kf-spawner-doctor"), strict=True):
                text = text.replace(f"'kf-spawner:{part}'", f"'system:serviceaccount:hubs:{name}'")
            for policy in yaml.safe_load_all(text):
                assert only(objects, policy["kind"], policy["metadata"]["name"])["spec"] == policy["spec"]
        assert "kf-spawner:" not in json.dumps([o for o in objects if o["kind"] == "ValidatingAdmissionPolicy"])


def test_who_wants_no_policies_says_so(renderer):
    kinds = {obj["kind"] for obj in renderer.render({"policies": {"create": False}})}
    assert not [kind for kind in kinds if kind.startswith("ValidatingAdmissionPolicy")]


def test_hub_and_operator_cannot_share_an_account(renderer):
    shared = {"serviceAccount": {"name": "both"}}
    with pytest.raises(HelmFailed, match="hub and operator need accounts of their own"):
        renderer.render({"hub": shared, "operator": shared})
