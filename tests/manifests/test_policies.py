"""What the policies let the accounts of hub, operator and users write, on a real API server: a table of requests."""

import asyncio
import contextlib
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from kf_spawner.cli.bootstrap import LOCAL_CLUSTER, PLATFORM, manifests
from kf_spawner.kube import ApiError, Client, NotFound, load_config
from kf_spawner.kube.paths import path_of
from kf_spawner.kube.resources import BUILT_IN
from tests.manifests.baseline_table import BEYOND, WITHIN, Pod
from tests.manifests.request_table import (
    FOREIGN,
    HUB,
    LEFT_BEHIND,
    OBJECTS,
    OPERATOR,
    PLACES,
    TABLE,
    Request,
    replica,
)

METHODS = {"create": "POST", "patch": "PATCH", "delete": "DELETE"}
TIMEOUT = 60.0
POLICIES = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
OPERATIONS = {"create": "CREATE", "update": "UPDATE", "patch": "UPDATE", "delete": "DELETE"}
"""By RBAC's verb, the operation of admission."""
UNBOUND = {
    ("kf-spawner-operator", resource) for resource in ("tfjobs", "tfjobs/status", "tfjobs/finalizers", "events")
}
"""By role, what it opens and no policy narrows: the status and the end of jobs, and what is told about them."""


def resource_of(obj: dict[str, Any]):
    return BUILT_IN[(obj["apiVersion"], obj["kind"])]


def ours() -> list[dict[str, Any]]:
    """The platform's definitions, roles and policies, and the bindings of its accounts on one machine."""
    bindings = [
        obj
        for obj in manifests(LOCAL_CLUSTER)
        if obj["metadata"]["name"] in ("kf-spawner-hub", "kf-spawner-operator")
    ]
    return [*manifests(PLATFORM), *bindings]


async def ask(admin: Client, request: Request) -> str:
    """The API server's refusal in a dry run; empty where it would take the request."""
    meta = request.obj["metadata"]
    name = None if request.verb == "create" else meta["name"]
    try:
        client = admin.acting_as(request.who) if request.who else admin
        await client.request(
            METHODS[request.verb],
            path_of(resource_of(request.obj), meta.get("namespace"), name),
            params={"dryRun": "All"},
            body=None if request.verb == "delete" else request.obj,
            content_type="application/strategic-merge-patch+json" if request.verb == "patch" else "application/json",
        )
    except ApiError as error:
        return error.message
    return ""


async def make_world(admin: Client) -> None:
    for obj in [*PLACES, *OBJECTS, *ours()]:
        await admin.apply(resource_of(obj), obj, field_manager="test")
    wanted = {obj["metadata"]["name"] for obj in ours() if obj["kind"] == POLICIES[0]}
    deadline = time.monotonic() + TIMEOUT
    while missing := wanted - await in_force(admin):
        assert time.monotonic() < deadline, f"these policies do not come into force: {missing}"
        await asyncio.sleep(0.2)


async def in_force(admin: Client) -> set[str]:
    """The policies that refuse something now: the API server reads them about a second after they are made."""
    said = [await ask(admin, request) for request in TABLE if request.says]
    return {found[1] for found in (re.search("ValidatingAdmissionPolicy '([^']+)'", text) for text in said) if found}


async def remove_world(admin: Client) -> None:
    policies = [obj for obj in ours() if obj["kind"] in POLICIES]
    for obj in [*policies, *PLACES, FOREIGN, LEFT_BEHIND]:
        meta = obj["metadata"]
        with contextlib.suppress(NotFound):
            await admin.delete(resource_of(obj), meta["name"], meta.get("namespace"))


@pytest.fixture(scope="module")
def world(control_plane) -> Iterator[None]:
    """What the requests are about, and all policies in force."""

    async def with_admin(work) -> None:
        async with Client(load_config(control_plane.admin_kubeconfig), user_agent="test") as admin:
            await work(admin)

    asyncio.run(with_admin(make_world))
    yield
    asyncio.run(with_admin(remove_world))


@pytest.mark.parametrize("request_", TABLE, ids=str)
async def test_what_an_account_may_write(world, control_plane, request_: Request):
    async with Client(load_config(control_plane.admin_kubeconfig), user_agent="test") as admin:
        said = await ask(admin, request_)
    assert said == "" if not request_.says else request_.says in said, said


def with_parts(namespace: str, parts: Pod) -> dict[str, Any]:
    """A job's new pod with these parts."""
    made = replica(namespace, **parts.get("spec", {}))
    return {**made, "metadata": {**made["metadata"], **parts.get("metadata", {})}}


@pytest.mark.parametrize(
    ("parts", "says"), [*BEYOND, *((parts, "") for parts in WITHIN)], ids=lambda value: str(value)[:60]
)
async def test_a_jobs_pod_is_held_to_what_pod_security_calls_baseline(world, control_plane, parts: Pod, says: str):
    """Where the namespace has Pod Security's label, an administrator's pod; where it has ours, the operator's."""
    async with Client(load_config(control_plane.admin_kubeconfig), user_agent="test") as admin:
        theirs = await ask(admin, Request("", "create", with_parts("measure", parts)))
        ours = await ask(admin, Request(OPERATOR, "create", with_parts("team", parts)))
        free = await ask(admin, Request(OPERATOR, "create", with_parts("trusted", parts)))
    assert 'violates PodSecurity "baseline:latest"' in theirs if says else theirs == "", theirs
    assert "ValidatingAdmissionPolicy 'kf-spawner-pods'" in ours if says else ours == "", ours
    assert says in ours
    assert free == ""


def test_what_the_roles_open_the_policies_narrow():
    """A right that somebody adds to a role needs a rule in the account's policy."""
    found = manifests(PLATFORM)
    policies = [obj["spec"] for obj in found if obj["kind"] == POLICIES[0]]
    for role, account in (("kf-spawner-hub", HUB), ("kf-spawner-operator", OPERATOR)):
        bound = {
            (group, resource, operation)
            for spec in policies
            if any(
                condition["expression"].endswith(f"== '{account}'") for condition in spec.get("matchConditions", ())
            )
            for rule in spec["matchConstraints"]["resourceRules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for operation in rule["operations"]
        }
        (rules,) = (obj["rules"] for obj in found if obj["kind"] == "ClusterRole" and obj["metadata"]["name"] == role)
        opened = {
            (group, resource, OPERATIONS[verb])
            for rule in rules
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
            if verb in OPERATIONS and (role, resource) not in UNBOUND
        }
        assert opened
        assert not opened - bound


def test_every_policy_is_bound_and_denies():
    found = manifests(PLATFORM)
    policies = {obj["metadata"]["name"] for obj in found if obj["kind"] == POLICIES[0]}
    bindings = {obj["spec"]["policyName"]: obj["spec"] for obj in found if obj["kind"] == POLICIES[1]}
    assert policies == bindings.keys()
    assert all(spec["validationActions"] == ["Deny"] for spec in bindings.values())
