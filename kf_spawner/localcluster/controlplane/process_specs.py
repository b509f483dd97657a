"""The command lines of etcd, kube-apiserver, kube-controller-manager and kube-scheduler.

Owns their flags. Pure: files and ports in, `ProcessSpec`s out. The supervisor starts them.
"""

import os
from collections.abc import Awaitable, Callable, Mapping

from ..supervisor import ProcessSpec
from .binaries import Binaries
from .credentials import (
    CLUSTER_DOMAIN,
    CONTROLLER_MANAGER,
    SCHEDULER,
    Credentials,
)
from .healthz import healthy
from .pki import Pair
from .ports import LOOPBACK
from .private_files import PRIVATE_FILE

ETCD = "etcd"
API_SERVER = "kube-apiserver"
PORTS = ("kube-apiserver", "etcd-client", "etcd-peer", "kube-controller-manager", "kube-scheduler")
"""The names of the ports of these processes, for `ports.allocate`."""

SERVICE_RANGE = "10.96.0.0/16"
ISSUER = f"https://kubernetes.default.svc.{CLUSTER_DOMAIN}"
# Nobody connects to it: the flags need an address that is not loopback. This one is reserved for documentation.
ADVERTISED_ADDRESS = "192.0.2.1"

FIRST_START_CHECKS = (
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
)

CONTROLLERS = (
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "node-lifecycle-controller",
    "persistentvolume-binder-controller",
    "persistentvolume-protection-controller",
    "persistentvolumeclaim-protection-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "statefulset-controller",
    "taint-eviction-controller",
    "ttl-after-finished-controller",
)
"""The controllers that run. Not the endpoint controllers: every local pod has a loopback address, which the API
refuses in an endpoint, so they would fail at each sync. No controllers for clouds, certificates or volume
attachment."""

REQUESTS_PER_SECOND = 300
"""For the controller manager and for the scheduler. The default of 20 to 50 slows many claims and pods at once."""


def control_plane(binaries: Binaries, credentials: Credentials, ports: Mapping[str, int]) -> list[ProcessSpec]:
    """The four processes of one home directory; `ports` holds a port for each of PORTS."""
    return [
        _etcd(binaries, credentials, ports),
        _api_server(binaries, credentials, ports),
        _controller_manager(binaries, credentials, ports),
        _scheduler(binaries, credentials, ports),
    ]


def _etcd(binaries: Binaries, credentials: Credentials, ports: Mapping[str, int]) -> ProcessSpec:
    client = f"https://{LOOPBACK}:{ports['etcd-client']}"
    peer = f"https://{LOOPBACK}:{ports['etcd-peer']}"
    pair, authority = credentials.etcd, credentials.etcd_authority
    argv = [
        str(binaries.etcd),
        "--name=local",
        f"--data-dir={credentials.home / 'etcd' / 'data'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=local={peer}",
        f"--cert-file={pair.certificate}",
        f"--key-file={pair.key}",
        f"--trusted-ca-file={authority}",
        "--client-cert-auth",
        f"--peer-cert-file={pair.certificate}",
        f"--peer-key-file={pair.key}",
        f"--peer-trusted-ca-file={authority}",
        "--peer-client-cert-auth",
        # Milliseconds. A restarted etcd waits for an election even if it is alone.
        "--heartbeat-interval=20",
        "--election-timeout=100",
        "--log-level=warn",
    ]
    ready = healthy(
        port=ports["etcd-client"], path="/health", authority=authority, client=credentials.api_server_to_etcd
    )
    return ProcessSpec(name=ETCD, argv=argv, env=_environment(memory="100MiB"), ready=ready)


def _api_server(binaries: Binaries, credentials: Credentials, ports: Mapping[str, int]) -> ProcessSpec:
    port = ports["kube-apiserver"]
    argv = [
        str(binaries.kube_apiserver),
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        f"--advertise-address={ADVERTISED_ADDRESS}",
        "--endpoint-reconciler-type=none",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        *_serving(credentials.api_server),
        # The store.
        f"--etcd-servers=https://{LOOPBACK}:{ports['etcd-client']}",
        f"--etcd-cafile={credentials.etcd_authority}",
        f"--etcd-certfile={credentials.api_server_to_etcd.certificate}",
        f"--etcd-keyfile={credentials.api_server_to_etcd.key}",
        # Who may do what.
        f"--client-ca-file={credentials.authority}",
        "--anonymous-auth=false",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={credentials.service_account_key}",
        f"--service-account-signing-key-file={credentials.service_account_key}",
        # The node.
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={credentials.authority}",
        f"--kubelet-client-certificate={credentials.api_server_to_node.certificate}",
        f"--kubelet-client-key={credentials.api_server_to_node.key}",
        "--profiling=false",
    ]
    return ProcessSpec(
        name=API_SERVER,
        argv=argv,
        env=_environment(memory="400MiB"),
        ready=_api_ready(credentials, port),
        after=(ETCD,),
    )


def _api_ready(credentials: Credentials, port: int) -> Callable[[], Awaitable[bool]]:
    """Whether the API server serves and its built-in roles exist.

    It creates these roles and two priority classes about a second after it serves. A store that once had them needs
    no wait.
    """
    complete = credentials.home / "etcd" / "roles-complete"
    excluded = "&".join(f"exclude={check}" for check in FIRST_START_CHECKS)
    whole, serving = (
        healthy(port=port, path=path, authority=credentials.authority, client=credentials.api_server_to_node)
        for path in ("/readyz", f"/readyz?{excluded}")
    )

    async def ready() -> bool:
        if complete.exists():
            return await serving()
        answer = await whole()
        if answer:
            complete.touch(mode=PRIVATE_FILE)
        return answer

    return ready


def _controller_manager(binaries: Binaries, credentials: Credentials, ports: Mapping[str, int]) -> ProcessSpec:
    argv = [
        str(binaries.kube_controller_manager),
        *_client_flags(credentials, CONTROLLER_MANAGER, ports["kube-controller-manager"]),
        f"--controllers={','.join(CONTROLLERS)}",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={credentials.service_account_key}",
        f"--root-ca-file={credentials.authority}",
        "--node-monitor-period=5s",
        "--node-monitor-grace-period=40s",
    ]
    return _client_process(CONTROLLER_MANAGER, argv, credentials, ports, memory="120MiB")


def _scheduler(binaries: Binaries, credentials: Credentials, ports: Mapping[str, int]) -> ProcessSpec:
    argv = [str(binaries.kube_scheduler), *_client_flags(credentials, SCHEDULER, ports["kube-scheduler"])]
    return _client_process(SCHEDULER, argv, credentials, ports, memory="80MiB")


def _client_flags(credentials: Credentials, name: str, port: int) -> list[str]:
    """The flags that the controller manager and the scheduler share."""
    file = credentials.client(name)
    return [
        f"--kubeconfig={file}",
        f"--authentication-kubeconfig={file}",
        f"--authorization-kubeconfig={file}",
        "--authentication-skip-lookup=true",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        *_serving(credentials.node_server),
        # Only one of each runs: no election is needed.
        "--leader-elect=false",
        f"--kube-api-qps={REQUESTS_PER_SECOND}",
        f"--kube-api-burst={2 * REQUESTS_PER_SECOND}",
        "--profiling=false",
    ]


def _client_process(
    name: str, argv: list[str], credentials: Credentials, ports: Mapping[str, int], *, memory: str
) -> ProcessSpec:
    ready = healthy(port=ports[name], path="/healthz", authority=credentials.authority)
    return ProcessSpec(name=name, argv=argv, env=_environment(memory=memory), ready=ready, after=(API_SERVER,))


def _serving(pair: Pair) -> list[str]:
    return [
        f"--tls-cert-file={pair.certificate}",
        f"--tls-private-key-file={pair.key}",
        "--tls-min-version=VersionTLS13",
    ]


def _environment(*, memory: str) -> dict[str, str]:
    """The whole environment of a process: only PATH comes from the caller.

    Above `memory`, Go's collector works harder. It is not a limit: busy processes may grow.
    """
    return {"PATH": os.environ.get("PATH", os.defpath), "GOMEMLIMIT": memory, "GOGC": "50"}
