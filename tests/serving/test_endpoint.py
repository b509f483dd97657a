"""An endpoint's manifests and what is refused before there are any."""

import json
import re
from typing import Any

import pytest

from kf_spawner.model_server.flags import parse_arguments
from kf_spawner.serving import build
from kf_spawner.serving.options import PATHS, problems
from kf_spawner.wrong_input import FieldError, WrongInput

GOOD = {
    "name": "digits",
    "claim": "claim-admin",
    "sub_path": "models/digits",
    "image": "kf-spawner/model-server:0.1.0",
}


def deployment(**changes: Any) -> dict[str, Any]:
    return build({**GOOD, **changes}, namespace="kf-admin")[0]


def container(**changes: Any) -> dict[str, Any]:
    return deployment(**changes)["spec"]["template"]["spec"]["containers"][0]


def errors(**changes: Any) -> dict[str, str]:
    with pytest.raises(WrongInput) as caught:
        build({**GOOD, **changes}, namespace="kf-admin")
    return dict(caught.value.errors)


def test_a_deployment_and_a_service_of_the_endpoints_name() -> None:
    made = build(GOOD, namespace="kf-admin")
    assert [one["kind"] for one in made] == ["Deployment", "Service"]
    for one in made:
        assert one["metadata"]["name"] == "digits"
        assert one["metadata"]["namespace"] == "kf-admin"
        assert one["metadata"]["labels"] == {
            "app.kubernetes.io/name": "model-server",
            "app.kubernetes.io/instance": "digits",
            "app.kubernetes.io/component": "endpoint",
            "app.kubernetes.io/managed-by": "kf-spawner",
            "kf-spawner.io/endpoint": "digits",
        }


def test_a_pod_has_time_to_end_as_its_server_does() -> None:
    pod = deployment()["spec"]["template"]["spec"]
    options = parse_arguments(pod["containers"][0]["args"])
    assert options.accept_grace > 0
    assert options.accept_grace + options.answer_grace < pod["terminationGracePeriodSeconds"]


def test_both_selectors_pick_the_pods() -> None:
    made = build(GOOD, namespace="kf-admin")
    pod_labels = made[0]["spec"]["template"]["metadata"]["labels"].items()
    assert made[0]["spec"]["selector"]["matchLabels"].items() <= pod_labels
    assert made[1]["spec"]["selector"].items() <= pod_labels


def test_the_claim_is_mounted_read_only_where_the_server_looks() -> None:
    server = container()
    assert server["volumeMounts"] == [
        {"name": "model", "mountPath": "/models/digits", "readOnly": True, "subPath": "models/digits"}
    ]
    assert server["args"][server["args"].index("--model-base-path") + 1] == "/models/digits"
    volumes = deployment()["spec"]["template"]["spec"]["volumes"]
    assert volumes == [{"name": "model", "persistentVolumeClaim": {"claimName": "claim-admin"}}]


@pytest.mark.parametrize("root", ["", ".", None])
def test_the_root_of_a_claim_needs_no_sub_path(root: str | None) -> None:
    assert "subPath" not in container(sub_path=root)["volumeMounts"][0]


def test_pods_have_no_token_and_fit_the_restricted_standard() -> None:
    pod = deployment()["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    inner = pod["containers"][0]["securityContext"]
    assert inner["allowPrivilegeEscalation"] is False
    assert inner["capabilities"] == {"drop": ["ALL"]}


def test_it_fits_a_laptop_unless_asked_otherwise() -> None:
    assert container()["resources"] == {"requests": {"cpu": "100m", "memory": "256Mi"}}
    asked = container(resources={"requests": {"cpu": 2}, "limits": {"memory": "128Mi", "nvidia.com/gpu": 1}})
    # A default request above a limit would be refused by Kubernetes.
    assert asked["resources"] == {"requests": {"cpu": "2"}, "limits": {"memory": "128Mi", "nvidia.com/gpu": "1"}}


def test_same_options_same_manifests() -> None:
    one = build({**GOOD, "env": {"B": "2", "A": "1"}}, namespace="kf-admin")
    other = build({**GOOD, "env": {"A": "1", "B": "2"}}, namespace="kf-admin")
    assert json.dumps(one) == json.dumps(other)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("name", None, "missing"),
        ("name", "", "missing"),
        ("name", 7, "missing"),
        ("name", "Digits", "lower-case"),
        ("name", "1digits", "letter first"),
        ("name", "digits-", "dash"),
        ("name", "a.b", "lower-case"),
        ("name", "digits\n", "lower-case"),
        ("name", "a" * 41, "at most 40"),
        ("name", "kubernetes", "reserved"),
        ("claim", None, "missing"),
        ("claim", "Claim", "not a valid name"),
        ("sub_path", "/models", "relative"),
        ("sub_path", "models/../../etc", "'..'"),
        ("sub_path", 3, "text"),
        ("sub_path", "a\nb", "plain path"),
        ("image", None, "missing"),
        ("image", "has space", "not an image reference"),
        ("replicas", 0, "1 to 32"),
        ("replicas", 33, "1 to 32"),
        ("replicas", "2", "whole number"),
        ("replicas", True, "whole number"),
        ("replicas", 1.5, "whole number"),
        ("resources", [], "object"),
        ("resources.cpu", {"cpu": "1"}, "requests and limits"),
        ("resources.limits[memory]", {"limits": {"memory": "1 GB"}}, "not an amount"),
        ("resources.limits[memory]", {"limits": {"memory": -1}}, "not an amount"),
        ("resources.limits[memory]", {"limits": {"memory": True}}, "not an amount"),
        ("resources.limits[gpu]", {"limits": {"gpu": 1}}, "nvidia.com/gpu"),
        ("resources.requests", {"requests": 1}, "object"),
        ("env", ["A=1"], "object"),
        ("env", {"A-B": "1"}, "environment variable"),
        ("env", {"A": 1}, "quotes"),
    ],
)
def test_each_wrong_value_names_its_field_and_the_remedy(field: str, value: Any, says: str) -> None:
    found = errors(**{field.partition(".")[0]: value})
    assert list(found) == [field]
    assert says in found[field]


def test_unknown_options_are_listed_with_those_that_there_are() -> None:
    found = errors(replica=2, gpus=1)
    assert set(found) == {"replica", "gpus"}
    assert "replicas" in found["replica"]


def test_all_errors_at_once() -> None:
    resources = {"limits": {"memory": "much", "gpu": 1}, "request": {}}
    found = problems({"env": {"A-B": "1", "C": 2}, "resources": resources, "name": "X", "replicas": 0, "speed": 1})
    assert [error.field for error in found] == [
        *("speed", "name", "claim", "image", "replicas"),
        *("resources.limits[memory]", "resources.limits[gpu]", "resources.request", "env", "env"),
    ]


OTHERS = {
    "name": ("other", "metadata.name"),
    "claim": ("other", "spec.template.spec.volumes[0].persistentVolumeClaim.claimName"),
    "sub_path": ("other", "spec.template.spec.containers[0].volumeMounts[0].subPath"),
    "image": ("other", "spec.template.spec.containers[0].image"),
    "replicas": (2, "spec.replicas"),
    "resources": ({"limits": {"memory": "1Gi"}}, "spec.template.spec.containers[0].resources"),
    "env": ({"A": "1"}, "spec.template.spec.containers[0].env[0].name"),
}
"""Another value of each option, and a path of the Deployment that it changes."""


@pytest.mark.parametrize("option", OTHERS)
def test_an_option_and_its_path_are_found_from_each_other(option: str) -> None:
    value, path = OTHERS[option]
    assert at(deployment(), path) != at(deployment(**{option: value}), path)
    assert PATHS.translate([FieldError(path, "is refused")]) == [FieldError(option, "is refused")]


def test_every_option_has_a_path() -> None:
    (unknown,) = problems({**GOOD, "speed": 1})
    assert unknown.message.endswith("one of " + ", ".join(field.removesuffix(".*") for field, _ in PATHS.rows))
    assert {field.removesuffix(".*") for field, _ in PATHS.rows} == set(OTHERS)
    assert PATHS.field_of("spec.template.spec.containers[0].resources.limits[cpu]") == "resources.limits[cpu]"


def at(value: Any, path: str) -> Any:
    """What stands at the path; None where there is nothing."""
    for step in re.findall(r"\w+", path):
        value = value or {}
        value = dict(enumerate(value)).get(int(step)) if isinstance(value, list) else value.get(step)
    return value


def test_options_that_are_no_object() -> None:
    with pytest.raises(WrongInput, match="object"):
        build(["digits"], namespace="kf-admin")  # type: ignore[arg-type]
