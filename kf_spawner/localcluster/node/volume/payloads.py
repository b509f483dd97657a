"""Reads the files of configMap, secret, downwardAPI and projected volumes from the API.

Owns the rules for keys, paths, modes and optional sources. It uses the directory only to reuse a valid token.
Rules: https://kubernetes.io/docs/concepts/storage/projected-volumes/
"""

import base64
import logging
from pathlib import Path
from typing import Any

from kf_spawner.k8s.resources import Resource
from kf_spawner.kube import ApiError, Client, NotFound
from kf_spawner.kube.resources import CONFIGMAPS, NODES, SECRETS

from ..common.downward_api import FieldError, field_value, needs_allocatable, resource_value
from ..common.retry_forbidden import retry_forbidden
from .atomic_dir import Content
from .tokens import current_token, renewal_due, request_token

log = logging.getLogger(__name__)

NO_KEY = {
    "secret": "references non-existent secret key",
    "configMap": "configmap references non-existent config key",
}
KINDS = ("configMap", "secret", "downwardAPI", "projected")
DEFAULT_MODE = 0o644

Payload = dict[str, Content]


class SourceError(Exception):
    """A source is missing or incomplete; the message names the object and what is missing."""


async def volume_payload(client: Client, pod: dict[str, Any], volume: dict[str, Any], directory: Path) -> Payload:
    """The files of a volume of one of KINDS by relative path. `directory` holds the current files.

    Raises SourceError if a source is missing and not optional, ApiError if the API server fails.
    """
    kind = next(kind for kind in KINDS if kind in volume)
    body = volume[kind] or {}
    mode = body.get("defaultMode", DEFAULT_MODE)
    if kind == "projected":
        payload: Payload = {}
        for source in body.get("sources") or []:
            payload.update(await _projected(client, pod, source, mode, directory))
        return payload
    if kind == "downwardAPI":
        return await _downward(client, pod, body, mode)
    name = body["secretName"] if kind == "secret" else body["name"]
    return await _object(client, pod, kind, name, body, mode)


async def _projected(
    client: Client, pod: dict[str, Any], source: dict[str, Any], mode: int, directory: Path
) -> Payload:
    if source.get("serviceAccountToken"):
        return await _token(client, pod, source["serviceAccountToken"], directory)
    if source.get("downwardAPI"):
        return await _downward(client, pod, source["downwardAPI"], mode)
    kind = "secret" if "secret" in source else "configMap"
    return await _object(client, pod, kind, source[kind]["name"], source[kind], mode)


async def _object(
    client: Client, pod: dict[str, Any], kind: str, name: str, body: dict[str, Any], mode: int
) -> Payload:
    optional = bool(body.get("optional"))
    resource: Resource = SECRETS if kind == "secret" else CONFIGMAPS
    try:
        found = await retry_forbidden(lambda: client.get(resource, name, pod["metadata"]["namespace"]))
    except NotFound as error:
        if optional:
            return {}
        raise SourceError(f'{kind.lower()} "{name}" not found') from error
    files = object_files(found)
    if not body.get("items"):
        return {key: Content(data, mode) for key, data in files.items()}
    payload = {}
    for item in body["items"]:
        if item["key"] in files:
            payload[item["path"]] = Content(files[item["key"]], item.get("mode", mode))
        elif not optional:
            raise SourceError(f"{NO_KEY[kind]}: {item['key']}")
    return payload


def object_files(obj: dict[str, Any]) -> dict[str, bytes]:
    """The data of a ConfigMap or Secret by key."""
    if obj.get("kind") == "Secret":
        return {key: base64.b64decode(value) for key, value in (obj.get("data") or {}).items()}
    files = {key: base64.b64decode(value) for key, value in (obj.get("binaryData") or {}).items()}
    return files | {key: value.encode() for key, value in (obj.get("data") or {}).items()}


async def _downward(client: Client, pod: dict[str, Any], body: dict[str, Any], mode: int) -> Payload:
    payload = {}
    for item in body.get("items") or []:
        try:
            if item.get("fieldRef"):
                text = field_value(pod, item["fieldRef"]["fieldPath"])
            else:
                text = await resource_text(client, pod, item["resourceFieldRef"], container=None)
        except FieldError as error:
            raise SourceError(str(error)) from error
        payload[item["path"]] = Content(text.encode(), item.get("mode") or mode)
    return payload


async def resource_text(
    client: Client, pod: dict[str, Any], reference: dict[str, Any], *, container: str | None
) -> str:
    """The value of `resourceFieldRef`; reads the Node only if it is needed."""
    allocatable = None
    if needs_allocatable(pod, reference, container=container):
        node = await client.get(NODES, pod["spec"]["nodeName"])
        allocatable = node["status"].get("allocatable") or {}
    return resource_value(pod, reference, container=container, allocatable=allocatable)


async def _token(client: Client, pod: dict[str, Any], source: dict[str, Any], directory: Path) -> Payload:
    current = current_token(directory, source["path"])
    if current and not renewal_due(current.data):
        return {source["path"]: current}
    try:
        return {source["path"]: Content(await request_token(client, pod, source), 0o600)}
    except NotFound as error:
        raise SourceError(f"failed to fetch token: {error.message}") from error
    except ApiError as error:
        if current is None:
            raise
        log.warning("could not renew the token of pod %s; the old token stays: %s", pod["metadata"]["name"], error)
        return {source["path"]: current}
