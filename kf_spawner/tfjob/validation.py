"""Finds the problems of a TFJob: the field, what is wrong and what to do."""

import functools
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import Any, TypeGuard

from kf_spawner.k8s.quantities import is_quantity
from kf_spawner.wrong_input import MOST, FieldError, not_an_amount

from .defaults import CLEAN_POLICIES, OLD_PLACES, RESTART_POLICIES, SUCCESS_POLICIES
from .names import (
    CANONICAL_TYPE,
    CHIEF,
    CONTAINER,
    LEADERS,
    MASTER,
    MULTIKUEUE,
    NAME_LIMIT,
    OURS,
    REPLICA_TYPES,
    child_name,
)

DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
DNS_1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
REPLICA_LIMIT = 10_000
SPECS = "spec.tfReplicaSpecs"
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
"""Kubernetes still heeds it, before the field."""

ClaimCheck = Callable[[dict[str, Any]], Iterable[FieldError]]
"""The problems with a claim, as `claim_choices`."""


def validate(
    job: dict[str, Any], *, claim_classes: Collection[str] | None = None, is_new: bool = True
) -> list[FieldError]:
    """The problems of `job`, which may be any JSON object: the first MOST. An empty list for a valid job.

    `claim_classes`: the storage classes that claims may name; None: not known here, so any.
    A job that is not new (`is_new`) may have its claims: `claim_choices` checks those that are yet to be made.
    """
    check = functools.partial(claim_choices, classes=claim_classes) if is_new else _no_problem
    return list(islice(_problems(job, check), MOST))


def claim_choices(claim: dict[str, Any], *, classes: Collection[str] | None) -> Iterator[FieldError]:
    """Problems with the volume that `claim` chooses, by fields of the claim; `classes` as in `validate`.

    The operator makes the claims, with rights that a job's user lacks: no claim may take or copy what exists.
    """
    metadata, spec = claim.get("metadata"), claim["spec"]
    for name in ("volumeName", "selector"):
        if spec.get(name) is not None:
            yield FieldError(f"spec.{name}", "chooses a volume that exists; remove it: each replica gets a new one")
    for name in ("dataSource", "dataSourceRef"):
        if spec.get(name) is not None:
            yield FieldError(f"spec.{name}", "copies what exists; remove it: each replica gets an empty volume")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    if isinstance(annotations, dict) and CLASS_ANNOTATION in annotations:
        yield FieldError(
            "metadata.annotations",
            f"has {CLASS_ANNOTATION}, which overrides the field; name the class in spec.storageClassName",
        )
    chosen = spec.get("storageClassName")
    if chosen == "":
        yield FieldError("spec.storageClassName", "is empty; name a class, or leave it out for the default one")
    elif chosen is not None and classes is not None and chosen not in classes:
        others = f", or use {' or '.join(map(repr, sorted(classes)))}" if classes else ""
        yield FieldError(
            "spec.storageClassName", f"is {chosen!r}, which jobs may not use; leave it out for the default{others}"
        )


def ephemeral_claims(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(field of `spec`, claim) of each generic ephemeral volume of a pod: Kubernetes makes the claim for the pod."""
    volumes = spec.get("volumes")
    for index, volume in enumerate(volumes if isinstance(volumes, list) else ()):
        source = volume.get("ephemeral") if isinstance(volume, dict) else None
        claim = source.get("volumeClaimTemplate") if isinstance(source, dict) else None
        if isinstance(claim, dict) and isinstance(claim.get("spec"), dict):
            yield f"volumes[{index}].ephemeral.volumeClaimTemplate", claim


def within(field: str, problems: Iterable[FieldError]) -> Iterator[FieldError]:
    """The problems with a part of the manifest, which is at `field`."""
    return (FieldError(f"{field}.{problem.field}", problem.message) for problem in problems)


def _no_problem(_claim: dict[str, Any]) -> Iterable[FieldError]:
    return ()


def _problems(job: dict[str, Any], check: ClaimCheck) -> Iterator[FieldError]:
    spec, metadata = job.get("spec"), job.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    yield from _name(metadata)
    if not isinstance(spec, dict):
        yield FieldError("spec", "is missing; give it tfReplicaSpecs")
        return
    yield from _replica_specs(spec.get("tfReplicaSpecs"), metadata.get("name") or "", check)
    yield from _run_policy(spec.get("runPolicy"))
    yield from _policy_fields("spec", {name: spec.get(name) for name in OLD_PLACES})
    if (spec.get("successPolicy") or "") not in SUCCESS_POLICIES:
        yield _choice("spec.successPolicy", spec["successPolicy"], SUCCESS_POLICIES)
    if not isinstance(spec.get("enableDynamicWorker", False), bool | None):
        yield FieldError("spec.enableDynamicWorker", "must be true or false")


def _name(metadata: dict[str, Any]) -> Iterator[FieldError]:
    name = metadata.get("name")
    if not name:
        yield FieldError("metadata.name", "is missing; give the job a name")
    elif not isinstance(name, str) or not DNS_1035.fullmatch(name) or len(name) > NAME_LIMIT:
        yield FieldError(
            "metadata.name",
            f"{name!r} is not a valid name: use lower-case letters, digits and '-', begin with a letter, "
            f"end with a letter or digit, {NAME_LIMIT} characters at most",
        )


def _replica_specs(specs: Any, job_name: str, check: ClaimCheck) -> Iterator[FieldError]:
    if not isinstance(specs, dict) or not specs:
        yield FieldError(SPECS, f"is missing or empty; name at least one of {', '.join(REPLICA_TYPES)}")
        return
    seen: dict[str, str] = {}
    for key, value in specs.items():
        field = f"{SPECS}.{key}"
        kind = CANONICAL_TYPE.get(str(key).lower())
        if kind is None:
            yield FieldError(field, f"is not a replica type; use one of {', '.join(REPLICA_TYPES)}")
        elif kind in seen:
            yield FieldError(field, f"is the same type as {seen[kind]}; keep one of the two")
        else:
            seen[kind] = key
            yield from _replica(kind, field, value, check)
    yield from _replica_names(job_name, {kind: specs[key] for kind, key in seen.items()})
    if CHIEF in seen and MASTER in seen:
        yield FieldError(f"{SPECS}.{seen[MASTER]}", "a job has a Chief or a Master, not both; remove one")
    if all(isinstance(value, dict) and value.get("replicas") == 0 for value in specs.values()):
        yield FieldError(SPECS, "has no replica at all; set replicas of at least one type to 1 or more")


def _replica_names(job_name: Any, replicas: dict[str, Any]) -> Iterator[FieldError]:
    if not isinstance(job_name, str):
        return
    names = []
    for kind, value in replicas.items():
        count = value.get("replicas") if isinstance(value, dict) else None
        names.append(child_name(job_name, kind, max(count - 1, 0) if _is_count(count) else 0))
    longest = max(names, key=len, default="")
    if len(longest) > NAME_LIMIT:
        yield FieldError(
            "metadata.name",
            f"is too long: the replica {longest!r} would have {len(longest)} characters, of {NAME_LIMIT} "
            f"allowed; shorten the job's name to {NAME_LIMIT - (len(longest) - len(job_name))} characters",
        )


def _replica(kind: str, field: str, value: Any, check: ClaimCheck) -> Iterator[FieldError]:
    if not isinstance(value, dict):
        yield FieldError(field, "must be an object with replicas and template")
        return
    count = value.get("replicas")
    count = 1 if count is None else count
    if not _is_count(count):
        yield FieldError(f"{field}.replicas", f"is {count!r}; use a whole number from 0 to {REPLICA_LIMIT}")
    elif kind in LEADERS and count > 1:
        yield FieldError(f"{field}.replicas", f"is {count}; a job has one {kind} at most, use Worker for more")
    policy = value.get("restartPolicy")
    if policy not in (None, "", *RESTART_POLICIES):
        yield _choice(f"{field}.restartPolicy", policy, RESTART_POLICIES)
    yield from _whole_number(f"{field}.maxRestarts", value.get("maxRestarts"), least=0)
    yield from _claims(f"{field}.volumeClaimTemplates", value.get("volumeClaimTemplates"), check)
    yield from _template(f"{field}.template", value.get("template"), check)


def _claims(field: str, claims: Any, check: ClaimCheck) -> Iterator[FieldError]:
    if claims is not None and not isinstance(claims, list):
        yield FieldError(field, "must be a list of claims, as in a StatefulSet")
        return
    names: set[str] = set()
    for index, claim in enumerate(claims or ()):
        where = f"{field}[{index}]"
        if not isinstance(claim, dict):
            yield FieldError(where, "must be an object with metadata and spec")
            continue
        metadata = claim.get("metadata")
        if not isinstance(metadata, dict):
            yield FieldError(f"{where}.metadata", "is missing; give the claim a name there")
            continue
        yield from _texts(f"{where}.metadata", metadata)
        name = metadata.get("name")
        if not isinstance(name, str) or not DNS_1123.fullmatch(name) or len(name) > NAME_LIMIT:
            yield FieldError(
                f"{where}.metadata.name",
                f"is {name!r}; it names the volume: use lower-case letters, digits and '-', "
                f"begin and end with a letter or digit, {NAME_LIMIT} characters at most",
            )
        elif name in names:
            yield FieldError(field, f"has two claims named {name!r}; give each its own name")
        else:
            names.add(name)
        if isinstance(claim.get("spec"), dict):
            yield from within(where, check(claim))
        else:
            yield FieldError(f"{where}.spec", "is missing; say accessModes and resources.requests.storage there")


def _texts(field: str, metadata: dict[str, Any]) -> Iterator[FieldError]:
    for part in ("labels", "annotations"):
        if not isinstance(metadata.get(part), dict | None):
            yield FieldError(f"{field}.{part}", "must be an object of texts")


def _template(field: str, template: Any, check: ClaimCheck) -> Iterator[FieldError]:
    spec = template.get("spec") if isinstance(template, dict) else None
    containers = spec.get("containers") if isinstance(spec, dict) else None
    if not isinstance(containers, list) or not containers:
        yield FieldError(f"{field}.spec.containers", f"is missing or empty; add a container named {CONTAINER!r}")
        return
    metadata = template.get("metadata")
    if isinstance(metadata, dict):
        yield from _texts(f"{field}.metadata", metadata)
    elif metadata is not None:
        yield FieldError(f"{field}.metadata", "must be an object")
    for index, container in enumerate(containers):
        yield from _container(f"{field}.spec.containers[{index}]", container)
    names = [container.get("name") for container in containers if isinstance(container, dict)]
    if CONTAINER not in names:
        yield FieldError(
            f"{field}.spec.containers", f"none is named {CONTAINER!r}; give the one that runs TensorFlow that name"
        )
    for where, claim in ephemeral_claims(template["spec"]):
        yield from within(f"{field}.spec.{where}", check(claim))


def _container(field: str, container: Any) -> Iterator[FieldError]:
    if not isinstance(container, dict):
        yield FieldError(field, "must be an object")
        return
    image = container.get("image")
    if not isinstance(image, str) or not image.strip():
        yield FieldError(f"{field}.image", "is missing or empty; name the image to run")
    for part in ("env", "ports"):
        entries = container.get(part)
        if entries is not None and not (
            isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)
        ):
            yield FieldError(f"{field}.{part}", "must be a list of objects")
            return
    for index, port in enumerate(container.get("ports") or ()):
        number = port.get("containerPort")
        if not isinstance(port.get("name"), str | None):
            yield FieldError(f"{field}.ports[{index}].name", "must be a text")
        if not (_is_integer(number) and 0 < number < 65536):
            yield FieldError(f"{field}.ports[{index}].containerPort", f"is {number!r}; use a port from 1 to 65535")


def _run_policy(policy: Any) -> Iterator[FieldError]:
    if policy is None:
        return
    if not isinstance(policy, dict):
        yield FieldError("spec.runPolicy", "must be an object")
        return
    yield from _policy_fields("spec.runPolicy", policy)
    yield from _whole_number("spec.runPolicy.startDeadlineSeconds", policy.get("startDeadlineSeconds"), least=1)
    for name in ("suspend", "waitForEvaluator", "avoidFailedNodes"):
        if not isinstance(policy.get(name), bool | None):
            yield FieldError(f"spec.runPolicy.{name}", "must be true or false")
    if policy.get("managedBy") not in (None, OURS, MULTIKUEUE):
        yield _choice("spec.runPolicy.managedBy", policy["managedBy"], (OURS, MULTIKUEUE))


def _policy_fields(where: str, policy: dict[str, Any]) -> Iterator[FieldError]:
    """The fields of the run policy that the versions before v1 had in the spec itself."""
    for name, least in (("ttlSecondsAfterFinished", 0), ("activeDeadlineSeconds", 1), ("backoffLimit", 0)):
        yield from _whole_number(f"{where}.{name}", policy.get(name), least=least)
    if policy.get("cleanPodPolicy") not in (None, "", *CLEAN_POLICIES):
        yield _choice(f"{where}.cleanPodPolicy", policy["cleanPodPolicy"], CLEAN_POLICIES)
    scheduling, field = policy.get("schedulingPolicy"), f"{where}.schedulingPolicy"
    if scheduling is None:
        return
    if not isinstance(scheduling, dict):
        yield FieldError(field, "must be an object")
        return
    for name in ("minAvailable", "scheduleTimeoutSeconds"):
        yield from _whole_number(f"{field}.{name}", scheduling.get(name), least=0)
    for name in ("queue", "priorityClass"):
        if not isinstance(scheduling.get(name), str | None):
            yield FieldError(f"{field}.{name}", "must be a text")
    resources = scheduling.get("minResources")
    if not isinstance(resources, dict | None):
        yield FieldError(f"{field}.minResources", "must map resources to amounts")
        return
    for name, amount in (resources or {}).items():
        if isinstance(amount, float) or not is_quantity(amount):
            yield FieldError(f"{field}.minResources.{name}", not_an_amount(amount, "4 or '8Gi'"))


def _whole_number(field: str, value: Any, *, least: int) -> Iterator[FieldError]:
    if value is not None and not (_is_integer(value) and value >= least):
        yield FieldError(field, f"is {value!r}; use a whole number, {least} or more")


def _is_count(value: Any) -> TypeGuard[int]:
    return _is_integer(value) and 0 <= value <= REPLICA_LIMIT


def _choice(field: str, value: Any, choices: tuple[str, ...]) -> FieldError:
    return FieldError(field, f"is {value!r}; use one of {', '.join(repr(choice) for choice in choices)}")


def _is_integer(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
