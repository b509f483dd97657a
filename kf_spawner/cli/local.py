"""The local cluster's part of `up`: control plane and node as process specs. Nobody else imports that room."""

import asyncio
import dataclasses
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kf_spawner import naming
from kf_spawner.kube.errors import Invalid
from kf_spawner.localcluster.controlplane import credentials, process_specs
from kf_spawner.localcluster.controlplane.binaries import AssetsError, ensure
from kf_spawner.localcluster.controlplane.build import BuildError
from kf_spawner.localcluster.controlplane.pki import PkiError
from kf_spawner.localcluster.supervisor import NotReady, ProcessSpec
from kf_spawner.spawner.manifests import namespace as users_namespace

from .bootstrap import LOCAL_CLUSTER, PLATFORM, CannotApply, SetUpError, apply_all, manifests
from .components import Settings, environment
from .ready import serving

NODE_NAME = "this-machine"
PORTS = (*process_specs.PORTS, "node", "node-healthz")
PULLING = (
    "ALL_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NETRC",
    "NO_PROXY",
    "PIP_CERT",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_INDEX_URL",
    "SSL_CERT_DIR",
)
"""Variables for the network of the programs that build images, in upper or lower case, beside UV_*. Only the node
gets them, as it starts these programs. Its own requests use no proxy; all other components stay on this machine."""


@dataclass(frozen=True)
class LocalCluster:
    """The processes of the local cluster, the kubeconfig files of those who use it, and a kubectl for people."""

    specs: list[ProcessSpec]
    kubectl: Path
    hub_kubeconfig: Path
    operator_kubeconfig: Path
    dashboard_kubeconfig: Path
    door_kubeconfig: Path


async def prepare(settings: Settings, *, user: str, progress: Callable[[str], None]) -> LocalCluster:
    """Builds what is missing, makes keys and certificates; kubectl's default namespace is that of `user`."""
    namespace = naming.user_namespace(user)
    try:
        keys = await asyncio.to_thread(
            credentials.prepare,
            home=settings.home.root,
            api_port=settings.ports["kube-apiserver"],
            node_name=NODE_NAME,
            namespace=namespace,
        )
        binaries = await ensure(progress)
    except (AssetsError, BuildError, PkiError) as error:
        raise SetUpError(str(error)) from error
    objects = [
        *manifests(PLATFORM, LOCAL_CLUSTER),
        users_namespace(namespace, user=user, labels={}, annotations={}),
    ]
    specs = [
        _bootstrapped(spec, keys.kubeconfig, objects) if spec.name == process_specs.API_SERVER else spec
        for spec in process_specs.control_plane(binaries, keys, settings.ports)
    ]
    return LocalCluster(
        specs=[*specs, _node(settings, keys)],
        kubectl=binaries.kubectl,
        hub_kubeconfig=keys.client(credentials.HUB),
        operator_kubeconfig=keys.client(credentials.OPERATOR),
        dashboard_kubeconfig=keys.client(credentials.DASHBOARD),
        door_kubeconfig=keys.client(credentials.DOOR),
    )


def _bootstrapped(spec: ProcessSpec, kubeconfig: Path, objects: list[dict[str, Any]]) -> ProcessSpec:
    """Makes the API server ready only once it has our objects: other components start after that."""
    assert spec.ready is not None
    answers = spec.ready
    done = False

    async def ready() -> bool:
        nonlocal done
        if not await answers():
            return False
        if not done:
            try:
                await apply_all(kubeconfig, objects)
            except CannotApply as error:
                if isinstance(error.__cause__, Invalid):  # for good
                    raise SetUpError(
                        f"{error}; if another version of kf-spawner made this home, name a new one with --home"
                    ) from error
                raise NotReady(str(error)) from error
            done = True
        return True

    return dataclasses.replace(spec, ready=ready)


def _node(settings: Settings, keys: credentials.Credentials) -> ProcessSpec:
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
        f"--port={settings.ports['node']}",
        f"--healthz-port={settings.ports['node-healthz']}",
        f"--tls-cert={keys.node_server.certificate}",
        f"--tls-key={keys.node_server.key}",
        f"--client-ca={keys.authority}",
    ]
    ready = serving(settings.ports["node-healthz"], "/healthz")
    pulling = {name: value for name, value in os.environ.items() if name.upper() in PULLING or name.startswith("UV_")}
    env = environment(**pulling)
    return ProcessSpec("node", argv, env, ready, after=(process_specs.API_SERVER,), stop_timeout=60.0)
