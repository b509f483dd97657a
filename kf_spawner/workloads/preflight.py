"""What the cluster finds wrong with a TFJob before anything is created: fields, pod templates, volume claims.

The API server does not check a TFJob's pod templates: a mistake would show only when the operator creates the pods.
So each template is sent as a Deployment in a dry run: the API server checks it and stores nothing.

Every function takes any job, valid or not, and returns problems whose fields are paths of the manifest.
"""

import asyncio
import copy
import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from kf_spawner.field_table import FieldTable
from kf_spawner.k8s import quota
from kf_spawner.k8s.quantities import is_quantity
from kf_spawner.k8s.resources import Resource
from kf_spawner.kube import AlreadyExists, Client, Forbidden, Invalid
from kf_spawner.kube.paths import path_of
from kf_spawner.kube.resources import CLAIMS, DEPLOYMENTS
from kf_spawner.tfjob.names import CANONICAL_TYPE
from kf_spawner.wrong_input import MOST, FieldError, not_an_amount

from .errors import field_errors, unknown_fields

DRY_RUN = {"dryRun": "All", "fieldValidation": "Strict"}


async def wrong_fields(
    client: Client, job: dict[str, Any], *, resource: Resource, namespace: str
) -> list[FieldError]:
    """What the API server refuses in the TFJob itself, beside its pod templates."""
    body = {**job, "metadata": {**job["metadata"], "namespace": namespace}}
    try:
        await client.request("POST", path_of(resource, namespace), params=DRY_RUN, body=body)
    except AlreadyExists:
        return []
    except Invalid as error:
        return field_errors(error)
    return []


async def missing_claims(client: Client, job: dict[str, Any], *, namespace: str) -> list[FieldError]:
    """Volume claims that do not exist: every replica would wait for them forever."""
    wanted = [(path, claim) for where, template in _templates(job) for path, claim in _claims(where, template)]
    if not wanted:
        return []
    names = {item["metadata"]["name"] for item in (await client.list(CLAIMS, namespace))["items"]}
    known = f"there are: {', '.join(sorted(names))}" if names else "there is none at all"
    missing = ((path, claim) for path, claim in wanted if claim not in names)
    return [
        FieldError(path, f"the volume claim {claim!r} does not exist in {namespace}: {known}")
        for path, claim in islice(missing, MOST)
    ]


async def wrong_templates(client: Client, job: dict[str, Any], *, namespace: str) -> list[FieldError]:
    """What the API server would refuse in the replicas' pods. Equal templates are checked once."""
    checked: set[str] = set()
    errors: list[FieldError] = []
    for where, template in _templates(job):
        key = json.dumps(template, sort_keys=True)
        if key not in checked:
            checked.add(key)
            table = FieldTable([(f"{where}.*", "spec.template.*")])
            errors += table.translate(await _wrong_template(client, template, namespace))
    return errors


def _templates(job: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, pod template) of each replica type, where the job has one that can be read."""
    spec = job.get("spec")
    specs = spec.get("tfReplicaSpecs") if isinstance(spec, dict) else None
    given = specs.items() if isinstance(specs, dict) else ()
    by_type = {CANONICAL_TYPE.get(kind.lower()): (kind, replica) for kind, replica in given}
    for kind, replica in (entry for known, entry in by_type.items() if known):
        template = replica.get("template") if isinstance(replica, dict) else None
        if isinstance(template, dict) and isinstance(template.get("spec"), dict):
            yield f"spec.tfReplicaSpecs.{kind}.template", template


def _claims(where: str, template: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(path, claim name) of every volume claim in a template."""
    volumes = template["spec"].get("volumes")
    for index, volume in enumerate(volumes if isinstance(volumes, list) else []):
        claim = volume.get("persistentVolumeClaim") if isinstance(volume, dict) else None
        name = claim.get("claimName") if isinstance(claim, dict) else None
        if isinstance(name, str) and name:
            yield f"{where}.spec.volumes[{index}].persistentVolumeClaim.claimName", name


async def _wrong_template(client: Client, template: dict[str, Any], namespace: str) -> list[FieldError]:
    amounts, body = await asyncio.to_thread(_without_wrong_amounts, template, namespace)
    error = await _refusal(client, body, namespace, DRY_RUN)
    if error is None:
        return amounts
    unknown = unknown_fields(error)
    if not unknown:
        return [*amounts, *_in_template(error)]
    # The API server names unknown fields before it looks at the known ones.
    other = await _refusal(client, body, namespace, {**DRY_RUN, "fieldValidation": "Ignore"})
    return [*amounts, *unknown, *(_in_template(other) if other else ())]


async def _refusal(client: Client, body: dict[str, Any], namespace: str, params: dict[str, str]) -> Invalid | None:
    """What is wrong with the Deployment. None also if a quota leaves no room for one: a job makes no Deployment."""
    try:
        await client.request("POST", path_of(DEPLOYMENTS, namespace), params=params, body=body)
    except Invalid as error:
        return error
    except Forbidden as error:
        if quota.read(error.message) is None:
            raise
    return None


def _without_wrong_amounts(template: dict[str, Any], namespace: str) -> tuple[list[FieldError], dict[str, Any]]:
    """The wrong amounts, and a Deployment of the template without them."""
    template = copy.deepcopy(template)
    return list(_take_wrong_amounts(template)), _probe(template, namespace)


def _in_template(error: Invalid) -> list[FieldError]:
    """The API server's problems. One without a field is about the template, not about a Deployment."""
    about = re.compile(r"^Deployment\S* .*?(?:is invalid|cannot be handled as a Deployment): ", re.DOTALL)
    return [
        FieldError(field or "spec.template", about.sub("", message).replace("spec.template.", ""))
        for field, message in field_errors(error)
    ]


def _take_wrong_amounts(template: dict[str, Any]) -> Iterator[FieldError]:
    """Removes every amount that is not a quantity, and returns a problem for each.

    The API server does not say which one it cannot read, and then checks nothing else.
    """
    for part in ("containers", "initContainers"):
        containers = template["spec"].get(part)
        for index, container in enumerate(containers if isinstance(containers, list) else []):
            resources = container.get("resources") if isinstance(container, dict) else None
            for kind, amounts in resources.items() if isinstance(resources, dict) else ():
                for name, amount in list(amounts.items()) if isinstance(amounts, dict) else ():
                    if amount is not None and not is_quantity(amount):
                        del amounts[name]
                        yield FieldError(
                            f"spec.template.spec.{part}[{index}].resources.{kind}[{name}]",
                            not_an_amount(amount, "500m, 2 or 1Gi"),
                        )


def _probe(template: dict[str, Any], namespace: str) -> dict[str, Any]:
    """A Deployment of this template. Its only restart policy is Always."""
    metadata = template.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    given = metadata.get("labels")
    labels = {**(given if isinstance(given, dict) else {}), "kf-spawner.io/check": "true"}
    spec = {**template["spec"], "restartPolicy": "Always"}
    spec.pop("activeDeadlineSeconds", None)  # valid in a pod, refused in a Deployment
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"generateName": "check-", "namespace": namespace},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"kf-spawner.io/check": "true"}},
            "template": {"metadata": {**metadata, "labels": labels}, "spec": spec},
        },
    }
