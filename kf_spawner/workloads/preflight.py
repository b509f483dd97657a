"""What the cluster itself says of a job before anything is made: would its pods be valid, are its volumes there.

A TFJob's pod templates are not looked into when it is created; a mistake would show only when the operator makes the
pods. So each template is sent as a Deployment in a dry run: the API server checks all of it, and keeps nothing.
"""

import json
import re

from kf_spawner.k8s.quantities import is_quantity
from kf_spawner.kube import Client, Forbidden, Invalid, NotFound
from kf_spawner.kube.resources import CLAIMS, DEPLOYMENTS

from .errors import RequestError, fields_of

DRY_RUN = {"dryRun": "All", "fieldValidation": "Strict"}


async def check(client: Client, job: dict, *, namespace: str) -> None:
    """Raises RequestError, whose field is a path in the manifest."""
    for kind, replica in job["spec"]["tfReplicaSpecs"].items():
        field = f"spec.tfReplicaSpecs.{kind}.template"
        await _check_claims(client, replica["template"], namespace=namespace, field=field)
    checked: set[str] = set()
    for kind, replica in job["spec"]["tfReplicaSpecs"].items():
        template = replica["template"]
        key = json.dumps(template, sort_keys=True)
        if key not in checked:
            field = f"spec.tfReplicaSpecs.{kind}.template"
            await _check_template(client, template, namespace=namespace, field=field)
            checked.add(key)


async def _check_claims(client: Client, template: dict, *, namespace: str, field: str) -> None:
    """A claim that is not there would leave every replica waiting for ever."""
    for path, claim in _claims(template):
        try:
            await client.get(CLAIMS, claim, namespace)
        except NotFound as error:
            names = sorted(item["metadata"]["name"] for item in (await client.list(CLAIMS, namespace))["items"])
            known = f"there are: {', '.join(names)}" if names else "there is none at all"
            raise RequestError(
                422,
                "NoSuchVolume",
                f"the volume claim {claim!r} does not exist in {namespace}: {known}",
                field=f"{field}.{path}",
            ) from error


def _claims(template: dict) -> list[tuple[str, str]]:
    """(path in the template, claim name) of every volume claim in it."""
    found = []
    volumes = template["spec"].get("volumes")
    for index, volume in enumerate(volumes if isinstance(volumes, list) else []):
        claim = volume.get("persistentVolumeClaim") if isinstance(volume, dict) else None
        name = claim.get("claimName") if isinstance(claim, dict) else None
        if isinstance(name, str) and name:
            found.append((f"spec.volumes[{index}].persistentVolumeClaim.claimName", name))
    return found


async def _check_template(client: Client, template: dict, *, namespace: str, field: str) -> None:
    try:
        await client.request("POST", DEPLOYMENTS.path(namespace), params=DRY_RUN, body=_probe(template, namespace))
    except Invalid as error:
        path = next(iter(fields_of(error)), "").removeprefix("spec.template").lstrip(".")
        message = error.message.replace("spec.template.", f"{field}.")
        message = re.sub(r"^Deployment\S* .*?(?:is invalid|cannot be handled as a Deployment): ", "", message)
        amount = _wrong_amount(template)
        if not path and amount is not None:  # the API server does not say which one it is
            path, message = amount
        raise RequestError(422, "Invalid", message, field=f"{field}.{path}" if path else field) from error
    except Forbidden as error:
        raise RequestError(403, error.reason, error.message, field=field) from error


def _wrong_amount(template: dict) -> tuple[str, str] | None:
    """(path, message) of the first amount of a resource that is no quantity."""
    for index, container in enumerate(template["spec"]["containers"]):
        for part, amounts in (container.get("resources") or {}).items():
            for name, amount in amounts.items() if isinstance(amounts, dict) else ():
                if amount is not None and not is_quantity(amount):
                    path = f"spec.containers[{index}].resources.{part}.{name}"
                    return path, f"{amount!r} is no amount of {name}: write one such as 500m, 2 or 1Gi"
    return None


def _probe(template: dict, namespace: str) -> dict:
    """A Deployment of this template, which may have no other restart policy than Always."""
    metadata = template.get("metadata") or {}
    labels = {**(metadata.get("labels") or {}), "kf-spawner.io/check": "true"}
    spec = {**template["spec"], "restartPolicy": "Always"}
    spec.pop("activeDeadlineSeconds", None)  # fine in a pod, refused in a Deployment
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
