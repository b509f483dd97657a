"""The objects of a user's namespace that a setting decides about."""

import pytest
from traitlets.config import Config

from kf_spawner.k8s.metadata import POD_SECURITY
from kf_spawner.spawner import manifests
from kf_spawner.spawner.settings import SpawnerSettings


def test_a_network_policy_of_the_namespace():
    spec = {"podSelector": {}, "policyTypes": ["Ingress"]}
    made = manifests.network_policy("kf-ada", spec)
    assert (made["kind"], made["metadata"]["namespace"]) == ("NetworkPolicy", "kf-ada")
    assert made["spec"] == spec
    assert made["metadata"]["labels"] == manifests.MANAGED


def test_an_administrators_stricter_pod_security_stays():
    def level(existing: dict[str, str] | None) -> str:
        wanted = manifests.namespace("kf-ada", user="ada", labels={"a": "b"}, annotations={})
        labels = manifests.as_strict(wanted, {"metadata": {"labels": existing}})["metadata"]["labels"]
        assert labels["a"] == "b"
        return labels[POD_SECURITY]

    assert level({POD_SECURITY: "restricted"}) == "restricted"
    assert [level({POD_SECURITY: "privileged"}), level({}), level(None)] == ["baseline"] * 3


def test_without_a_setting_there_is_none():
    assert SpawnerSettings().network_policy == {}


def test_how_much_a_namespace_may_have_by_default():
    settings = SpawnerSettings()
    assert settings.quota["pods"] == "100"
    assert settings.max_home_size == "100Gi"
    named = {name.removeprefix("requests.") for name in settings.quota if name.startswith("requests.")}
    assert named - {"storage"} == settings.default_requests.keys(), "without a default such a quota refuses pods"
    assert int(settings.quota["services"]) >= 1000, "jobs that have ended keep the services of their replicas"
    assert "count/tfjobs.kubeflow.org" not in settings.quota, "it refuses jobs until Kubernetes has counted the kind"


def test_a_larger_home_may_be_had_unless_a_maximum_is_set():
    assert SpawnerSettings(home_size="200Gi").max_home_size == "2000Gi"
    assert SpawnerSettings(home_size="200Gi", max_home_size="").max_home_size == ""


@pytest.mark.parametrize("given", [{"home_size": "250Gi"}, {"quota": {"requests.storage": "9Gi"}}])
def test_a_home_that_the_quota_has_no_room_for_is_refused(given):
    with pytest.raises(ValueError, match=r"home_size is .*, and quota has .* for requests.storage"):
        SpawnerSettings(**given)
    with pytest.raises(ValueError, match=r"home_size is .*, and quota has .* for requests.storage"):
        SpawnerSettings(config=Config(SpawnerSettings=given))


def test_a_home_fits_a_quota_that_is_set_with_it():
    """In whatever order, and where there is no home or no limit."""
    quota = {"requests.storage": "2Ti"}
    assert SpawnerSettings(config=Config(SpawnerSettings={"home_size": "1Ti", "quota": quota})).quota == quota
    assert SpawnerSettings(config=Config(SpawnerSettings={"quota": {}, "home_size": "1Ti"})).home_size == "1Ti"
    assert SpawnerSettings(home_mount="", home_size="1Ti").home_size == "1Ti"


def test_limits_that_are_taken_away_leave_objects_that_limit_nothing():
    """They are applied all the same, so that the namespace loses its limits."""
    assert manifests.quota("kf-ada", {})["spec"] == {"hard": {}}
    assert manifests.limits("kf-ada", requests={}, largest_claim="")["spec"] == {"limits": []}
    assert manifests.quota("kf-ada", {"pods": 5})["spec"] == {"hard": {"pods": "5"}}


def test_an_amount_that_is_none_is_refused():
    with pytest.raises(ValueError, match="quota: pods has 'many', which is not a quantity"):
        SpawnerSettings(quota={"pods": "many"})
