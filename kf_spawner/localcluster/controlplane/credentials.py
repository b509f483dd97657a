"""The clients of the local cluster: their certificates and kubeconfig files in one home directory.

Owns the table of clients and `<home>/kubeconfig`, `<home>/kubeconfigs/`. RBAC decides what each client may do: see
the roles and bindings in the manifests.
"""

from dataclasses import dataclass
from pathlib import Path

from . import kubeconfig
from .pki import CLIENT, SERVER, Authority, Leaf, Pair, signing_key
from .ports import LOOPBACK
from .private_files import private_folder

CLUSTER_DOMAIN = "cluster.local"
SERVICE_ADDRESS = "10.96.0.1"
"""The first address of the service range: the Service `kubernetes` in the namespace `default` has it."""

ADMINISTRATOR = "admin"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
NODE = "node"
OPERATOR = "operator"
HUB = "hub"
DASHBOARD = "dashboard"
DOOR = "door"
PROVISIONER = "provisioner"
PLATFORM_CLIENTS = (OPERATOR, HUB, DASHBOARD, DOOR, PROVISIONER)
"""Clients of the platform: client NAME is the user `kf-spawner:NAME`."""


@dataclass(frozen=True)
class Credentials:
    """The files for the processes of one home directory."""

    home: Path
    server: str
    """The API's URL."""
    authority: Path
    """The certificate authority of the API server, its clients and the node (PEM)."""
    etcd_authority: Path
    api_server: Pair
    api_server_to_node: Pair
    """The client certificate of the API server for logs and exec on a node."""
    api_server_to_etcd: Pair
    etcd: Pair
    node_server: Pair
    """The server certificate of the node, for 127.0.0.1."""
    service_account_key: Path
    kubeconfig: Path
    """The kubeconfig file of the administrator, for people."""

    def client(self, name: str) -> Path:
        """The kubeconfig file of a client: ADMINISTRATOR, NODE, OPERATOR, HUB…"""
        return self.kubeconfig if name == ADMINISTRATOR else _client_file(self.home, name)


def user_of(client: str, *, node_name: str) -> Leaf:
    """The user and groups that a client's certificate names, as Kubernetes' own roles expect them."""
    if client == ADMINISTRATOR:
        return Leaf("kubernetes-admin", ("system:masters",))
    if client == NODE:
        return Leaf(f"system:node:{node_name}", ("system:nodes",))
    if client in PLATFORM_CLIENTS:
        return Leaf(f"kf-spawner:{client}")
    return Leaf(f"system:{client}")


def prepare(*, home: Path, api_port: int, node_name: str, namespace: str = "default") -> Credentials:
    """Creates or renews every key, certificate and kubeconfig of `home`. Blocks for some tens of milliseconds.

    `namespace` is the default namespace of the administrator's kubectl.
    """
    home = private_folder(home).resolve()
    folder = home / "pki"
    authority = Authority(folder, "ca")
    etcd_authority = Authority(folder, "etcd-ca")
    kubernetes = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    api_hosts = (LOOPBACK, "localhost", SERVICE_ADDRESS, *kubernetes, f"{kubernetes[-1]}.{CLUSTER_DOMAIN}")
    local = (LOOPBACK, "localhost")
    credentials = Credentials(
        home=home,
        server=f"https://{LOOPBACK}:{api_port}",
        authority=authority.pair.certificate,
        etcd_authority=etcd_authority.pair.certificate,
        api_server=authority.issue("kube-apiserver", Leaf("kube-apiserver", usages=(SERVER,), hosts=api_hosts)),
        # This user needs no role: our node only checks that the certificate has this name and authority.
        api_server_to_node=authority.issue("kube-apiserver-to-node", Leaf("kube-apiserver-kubelet-client")),
        # The gateway of etcd uses the server certificate as a client certificate too.
        etcd=etcd_authority.issue("etcd", Leaf("etcd", usages=(SERVER, CLIENT), hosts=local)),
        api_server_to_etcd=etcd_authority.issue("kube-apiserver-to-etcd", Leaf("kube-apiserver-etcd-client")),
        node_server=authority.issue("node", Leaf(f"system:node:{node_name}", usages=(SERVER,), hosts=local)),
        service_account_key=signing_key(folder, "service-account"),
        kubeconfig=home / "kubeconfig",
    )
    for client in (ADMINISTRATOR, CONTROLLER_MANAGER, SCHEDULER, NODE, *PLATFORM_CLIENTS):
        add_client(
            credentials,
            authority=authority,
            name=client,
            leaf=user_of(client, node_name=node_name),
            namespace=namespace if client == ADMINISTRATOR else "default",
        )
    return credentials


def add_client(
    credentials: Credentials, *, authority: Authority, name: str, leaf: Leaf, namespace: str = "default"
) -> Path:
    """The kubeconfig file of a client with its own certificate; creates or renews it if needed."""
    path = credentials.client(name)
    private_folder(path.parent)
    kubeconfig.write(
        path,
        server=credentials.server,
        authority=credentials.authority,
        client=authority.issue(f"client-{name}", leaf),
        user=leaf.common_name,
        namespace=namespace,
    )
    return path


def _client_file(home: Path, name: str) -> Path:
    return home / "kubeconfigs" / f"{name}.kubeconfig"
