"""The local cluster's part of `up`: control plane and node as process specs. Nobody else imports that room."""

import asyncio
import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kf_spawner.kube import ApiError
from kf_spawner.localcluster.controlplane import bootstrap, credentials, processes
from kf_spawner.localcluster.controlplane.build import BuildError, ensure
from kf_spawner.localcluster.supervisor import ProcessSpec

from .bootstrap import apply_all, platform_manifests
from .components import Settings, environment
from .ready import serving

NODE_NAME = "this-machine"
PORTS = processes.PORTS


class SetUpError(Exception):
    """The local cluster cannot be made; says why and what to do."""


@dataclass(frozen=True)
class LocalCluster:
    """The processes of the local cluster, and the kubeconfig files of those who use it."""

    specs: list[ProcessSpec]
    hub_kubeconfig: Path
    operator_kubeconfig: Path


async def prepare(settings: Settings, *, namespace: str, say: Callable[[str], None]) -> LocalCluster:
    """Builds what is missing, makes keys and certificates; `namespace` is kubectl's default one."""
    keys = await asyncio.to_thread(
        credentials.prepare,
        home=settings.home.root,
        api_port=settings.ports["kube-apiserver"],
        node_name=NODE_NAME,
        namespace=namespace,
    )
    try:
        binaries = await ensure(progress=say)
    except BuildError as error:
        raise SetUpError(str(error)) from error
    specs = [
        _bootstrapped(spec, keys) if spec.name == processes.API_SERVER else spec
        for spec in processes.control_plane(binaries, keys, settings.ports)
    ]
    return LocalCluster(
        specs=[*specs, _node(settings, keys)],
        hub_kubeconfig=keys.client(credentials.HUB),
        operator_kubeconfig=keys.client(credentials.OPERATOR),
    )


def _bootstrapped(spec: ProcessSpec, keys: credentials.Credentials) -> ProcessSpec:
    """The API server counts as ready when it also has our own objects: what needs it starts after that."""
    assert spec.ready is not None
    answers = spec.ready
    done = False

    async def ready() -> bool:
        nonlocal done
        if not await answers():
            return False
        if not done:
            try:
                await apply_all(keys.kubeconfig, [*platform_manifests(), *bootstrap.manifests()])
            except (ApiError, TimeoutError):
                return False
            done = True
        return True

    return dataclasses.replace(spec, ready=ready)


def _node(settings: Settings, keys: credentials.Credentials) -> ProcessSpec:
    port = settings.ports["node"]
    argv = [
        sys.executable,
        "-m",
        "kf_spawner.localcluster.node",
        f"--kubeconfig={keys.client(credentials.NODE)}",
        f"--provisioner-kubeconfig={keys.client(credentials.PROVISIONER)}",
        f"--name={NODE_NAME}",
        f"--root={settings.home.node}",
        f"--volumes={settings.home.volumes}",
        f"--images={settings.share / 'images'}",
        f"--port={port}",
    ]
    return ProcessSpec(
        "node", argv, environment(), serving(port, "/healthz"), after=(processes.API_SERVER,), stop_timeout=60.0
    )
