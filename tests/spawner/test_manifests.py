"""The objects of a user's namespace that a setting decides about."""

from kf_spawner.spawner import manifests
from kf_spawner.spawner.settings import SpawnerSettings


def test_a_network_policy_of_the_namespace():
    spec = {"podSelector": {}, "policyTypes": ["Ingress"]}
    made = manifests.network_policy("kf-ada", spec)
    assert (made["kind"], made["metadata"]["namespace"]) == ("NetworkPolicy", "kf-ada")
    assert made["spec"] == spec
    assert made["metadata"]["labels"] == manifests.MANAGED


def test_without_a_setting_there_is_none():
    assert SpawnerSettings().network_policy == {}
