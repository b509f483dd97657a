"""URL paths of the API server."""

from urllib.parse import quote

from kf_spawner.k8s.resources import Resource

from .errors import NotFound


def path_of(
    resource: Resource, namespace: str | None = None, name: str | None = None, subresource: str | None = None
) -> str:
    """The path of a collection, an object or its subresource. Raises NotFound if no object can have that name."""
    parts = ["/apis", resource.group, resource.version] if resource.group else ["/api", resource.version]
    if resource.namespaced and namespace:
        parts += ["namespaces", _segment(resource, namespace)]
    parts.append(resource.plural)
    if name:
        parts.append(_segment(resource, name))
    if subresource:
        parts.append(subresource)
    return "/".join(parts)


def _segment(resource: Resource, name: str) -> str:
    """A user may have typed the name: it must not lead to another path."""
    if name in (".", "..") or "/" in name:
        details = {"name": name, "kind": resource.plural}
        raise NotFound(404, "NotFound", f"{resource.plural} {name!r} cannot exist", details)
    return quote(name, safe=":", errors="replace")
