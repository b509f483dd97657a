"""The command, environment and working directory of a container, as its process gets them.

Owns the rules of Kubernetes for `env`, `envFrom`, `$(NAME)`, command and args. Every string of the pod goes through
`common/translate.py`. Of the environment of the node, a container inherits only INHERITED.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kf_spawner.kube import Client, NotFound
from kf_spawner.kube.resources import CONFIGMAPS, SECRETS, SERVICES

from ..common.downward_api import FieldError, field_value
from ..common.retry_forbidden import retry_forbidden
from ..common.translate import ServiceName, expand, service_names, translate
from ..image.store import ImageEnvironment
from ..network.addresses import Addresses, MissingService, Untranslatable, api_server
from ..volume.mounts import Mount, MountError, inside
from ..volume.payloads import object_files, resource_text
from ..volume.tokens import ACCOUNT_MOUNT, kubeconfig_path

__all__ = ["ContainerConfigError", "ContainerSpec", "ImageEnvironment", "Untranslatable", "build_container"]

INHERITED = (
    "LANG",
    "TZ",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    # The abilities of the processor: numerical libraries guess them wrong on some virtual machines.
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
)
"""Facts of the machine that an image cannot know: no proxy, no path, no secret."""

SHARED = ("/tmp", "/dev/shm")  # noqa: S108
"""Directories that programs use without being told: they are never replaced."""


class ContainerConfigError(Exception):
    """The configuration of the container names something that does not exist (yet): CreateContainerConfigError."""


@dataclass(frozen=True)
class ContainerSpec:
    """What to start. `argv[0]` may be a bare name: the PATH of `env` finds it.

    `directories` maps paths in the container to directories of this machine: mounts, home, working directory.
    """

    argv: list[str]
    env: dict[str, str] = field(repr=False)
    cwd: str
    directories: dict[str, str]


async def build_container(
    client: Client,
    pod: dict[str, Any],
    container: dict[str, Any],
    *,
    image_env: ImageEnvironment,
    mounts: Sequence[Mount],
    addresses: Addresses,
    pod_ip: str,
    host_ip: str,
    scratch: Path,
    termination_log: Path | None = None,
) -> ContainerSpec:
    """What to start for `container`.

    `scratch` is the container's own writable folder, for its home and working directory without a volume.
    `termination_log` is the file that stands for `terminationMessagePath`. Raises ContainerConfigError if something
    is missing that may still appear, Untranslatable if a name has no address here, ApiError if the API server fails.
    """
    try:
        wanted = await container_env(client, pod, container, pod_ip=pod_ip, host_ip=host_ip)
        words = _words(container, wanted)
        directories = _directories(container, mounts, termination_log)
        home = wanted.get("HOME") or image_env.home or "/"
        workdir = container.get("workingDir") or image_env.workdir or home
        for path in (home, workdir, image_env.home):
            _cover(path, directories, scratch)
        links = await _service_links(client, pod, addresses)
        services = await _resolve(addresses, pod, [*wanted.values(), *words])
    except (FieldError, MissingService, MountError) as error:
        raise ContainerConfigError(str(error)) from error

    def here(text: str) -> str:
        return translate(
            text,
            namespace=pod["metadata"]["namespace"],
            directories=directories,
            pod_ip=pod_ip,
            services=services.get,
        )

    env = {
        **{name: os.environ[name] for name in INHERITED if name in os.environ},
        **_image_env(image_env, directories),
        "HOSTNAME": _hostname(pod),
        **_api_server_env(client),
        **_kubeconfig(mounts),
        **links,
        **{name: here(value) for name, value in wanted.items()},
        "HOME": here(home),
    }
    own = bool(container.get("command"))
    argv = [*([] if own else image_env.entrypoint), *map(here, words)]
    if not own and not container.get("args"):
        argv += image_env.cmd
    if not argv:
        raise ContainerConfigError(f'container "{container["name"]}": neither the image nor the pod has a command')
    cwd = here(workdir)
    _make(cwd)
    return ContainerSpec(argv=argv, env=env, cwd=cwd, directories=directories)


async def container_env(
    client: Client, pod: dict[str, Any], container: dict[str, Any], *, pod_ip: str, host_ip: str
) -> dict[str, str]:
    """The variables of `envFrom` and `env`, expanded but not translated."""
    env: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        kind = "secret" if source.get("secretRef") else "configMap"
        found = await _data(client, pod, kind, source[f"{kind}Ref"])
        env.update({(source.get("prefix") or "") + key: value for key, value in (found or {}).items()})
    for entry in container.get("env") or []:
        if "valueFrom" in entry:
            value = await _value_from(client, pod, container, entry["valueFrom"], pod_ip=pod_ip, host_ip=host_ip)
            if value is None:
                continue
        else:
            value = expand(entry.get("value") or "", env)
        env[entry["name"]] = value
    return env


async def _value_from(
    client: Client,
    pod: dict[str, Any],
    container: dict[str, Any],
    source: dict[str, Any],
    *,
    pod_ip: str,
    host_ip: str,
) -> str | None:
    if source.get("fieldRef"):
        return field_value(pod, source["fieldRef"]["fieldPath"], pod_ip=pod_ip, host_ip=host_ip)
    if source.get("resourceFieldRef"):
        return await resource_text(client, pod, source["resourceFieldRef"], container=container["name"])
    kind = "secret" if source.get("secretKeyRef") else "configMap"
    reference = source.get(f"{kind}KeyRef")
    if reference is None:
        raise ContainerConfigError(f"env.valueFrom of container {container['name']}: {', '.join(source)} is unknown")
    found = await _data(client, pod, kind, reference)
    if found is not None and reference["key"] in found:
        return found[reference["key"]]
    if reference.get("optional"):
        return None
    where = f"{pod['metadata']['namespace']}/{reference['name']}"
    raise ContainerConfigError(f"couldn't find key {reference['key']} in {kind[0].upper()}{kind[1:]} {where}")


async def _data(client: Client, pod: dict[str, Any], kind: str, reference: dict[str, Any]) -> dict[str, str] | None:
    """The texts of a ConfigMap or Secret; None if it is optional and missing."""
    resource = SECRETS if kind == "secret" else CONFIGMAPS
    try:
        found = await retry_forbidden(lambda: client.get(resource, reference["name"], pod["metadata"]["namespace"]))
    except NotFound as error:
        if reference.get("optional"):
            return None
        raise ContainerConfigError(f'{kind.lower()} "{reference["name"]}" not found') from error
    if kind == "configMap":
        return found.get("data") or {}
    return {key: data.decode(errors="replace") for key, data in object_files(found).items()}


def _hostname(pod: dict[str, Any]) -> str:
    spec = pod["spec"]
    return spec.get("hostnameOverride") or spec.get("hostname") or str(pod["metadata"]["name"])


def _words(container: dict[str, Any], env: Mapping[str, str]) -> list[str]:
    """The command line from the pod, expanded."""
    words = [*(container.get("command") or []), *(container.get("args") or [])]
    return [expand(word, env) for word in words]


def _directories(container: dict[str, Any], mounts: Sequence[Mount], termination_log: Path | None) -> dict[str, str]:
    directories = {mount.mount_path: str(mount.host_path) for mount in mounts if mount.mount_path not in SHARED}
    if termination_log is not None:
        directories[container.get("terminationMessagePath") or "/dev/termination-log"] = str(termination_log)
    return directories


def _cover(path: str, directories: dict[str, str], scratch: Path) -> None:
    """Maps `path` to a directory in `scratch`, unless a mount or the machine has one for it."""
    if path and not path.startswith("/"):
        raise ContainerConfigError(f'the working directory "{path}" must begin with /')
    known = [*directories, *directories.values(), *SHARED]
    if path.strip("/") and not any(path == each or path.startswith(each + "/") for each in known):
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        directories["/" + path.strip("/")] = str(inside(scratch, path.strip("/")))


async def _resolve(addresses: Addresses, pod: dict[str, Any], texts: Sequence[str]) -> dict[ServiceName, str]:
    namespace = pod["metadata"]["namespace"]
    names = set().union(*(service_names(text, namespace=namespace) for text in texts))
    return await addresses.resolve(pod, names) if names else {}


async def _service_links(client: Client, pod: dict[str, Any], addresses: Addresses) -> dict[str, str]:
    """`NAME_SERVICE_HOST` and `NAME_SERVICE_PORT` for the services of the pod's namespace that have an address."""
    if pod["spec"].get("enableServiceLinks") is False:
        return {}
    env = {}
    for service in (await client.list(SERVICES, pod["metadata"]["namespace"]))["items"]:
        spec, name = service["spec"], service["metadata"]["name"]
        if not spec.get("selector") or spec.get("clusterIP") in (None, "", "None") or not spec.get("ports"):
            continue
        address, ports = await addresses.service_address(pod, service)
        prefix = name.upper().replace("-", "_")
        env[f"{prefix}_SERVICE_HOST"] = address
        for index, entry in enumerate(each for each in spec["ports"] if each["port"] in ports):
            port = str(ports[entry["port"]])
            if index == 0:
                env[f"{prefix}_SERVICE_PORT"] = port
            if entry.get("name"):
                env[f"{prefix}_SERVICE_PORT_{entry['name'].upper().replace('-', '_')}"] = port
    return env


def _image_env(image: ImageEnvironment, directories: Mapping[str, str]) -> dict[str, str]:
    """The variables of the image. Paths below its home are replaced; its programs stay where they were built."""
    kept = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    there = {kept: kept, **{path: here for path, here in directories.items() if path == image.home}}
    return {
        name: translate(value, namespace="", directories=there, pod_ip="0.0.0.0") for name, value in image.env.items()
    }


def _api_server_env(client: Client) -> dict[str, str]:
    host, port = api_server(client.config.server)
    return {
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": str(port),
        "KUBERNETES_SERVICE_PORT_HTTPS": str(port),
    }


def _kubeconfig(mounts: Sequence[Mount]) -> dict[str, str]:
    for mount in mounts:
        if mount.mount_path == ACCOUNT_MOUNT:
            path = kubeconfig_path(mount.host_path)
            if path.exists():
                return {"KUBECONFIG": str(path)}
    return {}


def _make(cwd: str) -> None:
    try:
        os.makedirs(cwd, exist_ok=True)
    except OSError as error:
        raise ContainerConfigError(f"the working directory {cwd} cannot be created: {error}") from error
