"""Requests as the platform's accounts, and what the API server says to each."""

from dataclasses import dataclass
from typing import Any, Literal

from kf_spawner.spawner import manifests, token
from kf_spawner.tfjob import ownership
from kf_spawner.tfjob.names import JOB_LABEL, OPERATOR_LABEL, OPERATOR_NAME
from kf_spawner.tfjob.validation import CLASS_ANNOTATION

HUB = "kf-spawner:hub"
OPERATOR = "kf-spawner:operator"
REPLICASETS = "system:serviceaccount:kube-system:replicaset-controller"
ADA = "system:serviceaccount:kf-ada:notebook"
UID = "4f1c1c1e-0000-4000-8000-000000000000"
ALLOWED = ""
LABEL = {"component": "singleuser-server"}
POD_SECURITY = "pod-security.kubernetes.io"
LEVEL = f"{POD_SECURITY}/enforce"
NODES = "scheduler.alpha.kubernetes.io/node-selector"
"""An annotation of a namespace: which nodes its pods get."""


@dataclass(frozen=True)
class Request:
    """What `who` asks for. `says`: a part of the refusal; empty: it is allowed. A patch is a strategic one."""

    who: str
    verb: Literal["create", "patch", "delete"]
    obj: dict[str, Any]
    says: str = ALLOWED

    def __str__(self) -> str:
        meta = self.obj["metadata"]
        place = f"{meta['namespace']}/" if "namespace" in meta else ""
        outcome = "refused" if self.says else "allowed"
        return f"{self.who.rpartition(':')[2]} {self.verb} {self.obj['kind']} {place}{meta['name']} {outcome}"


def namespace(name: str, *, user: str = "ada", level: str = "baseline", **labels: str) -> dict[str, Any]:
    made = manifests.namespace(name, user=user, labels={}, annotations={})
    made["metadata"]["labels"] |= {LEVEL: level, **labels}
    return made


def nobodys(name: str, **labels: str) -> dict[str, Any]:
    """A namespace that is no user's."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def annotated(name: str, **annotations: str | None) -> dict[str, Any]:
    """A patch of a namespace."""
    return {**nobodys(name), "metadata": {"name": name, "annotations": annotations}}


def with_nodes(made: dict[str, Any]) -> dict[str, Any]:
    """A namespace for whose pods an administrator has chosen nodes."""
    made["metadata"]["annotations"][NODES] = "disk=slow"
    return made


def of_another(name: str, user: str | None) -> dict[str, Any]:
    """A patch that makes a namespace another user's, or nobody's."""
    return annotated(name, **{manifests.USER_ANNOTATION: user})


def pod(
    namespace: str,
    name: str = "jupyter-ada",
    *,
    labels: dict[str, str] | None = None,
    container: dict[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """A server by its name, or another pod."""
    is_server = name.startswith("jupyter-")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels or (LABEL if is_server else {})},
        "spec": {
            "serviceAccountName": "notebook" if is_server else "default",
            "containers": [{"name": "notebook", "image": "image", **(container or {})}],
            **spec,
        },
    }


def secured(**context: Any) -> dict[str, Any]:
    return {"securityContext": context}


def account(namespace: str, name: str = "notebook", **metadata: Any) -> dict[str, Any]:
    made = manifests.account(namespace)
    return {**made, "metadata": {**made["metadata"], "name": name, **metadata}}


def binding(namespace: str, *, name: str = "notebook", role: str = manifests.NOTEBOOK_ROLE, of: str = "") -> dict:
    made = manifests.binding(namespace)
    made["metadata"]["name"] = name
    made["roleRef"]["name"] = role
    made["subjects"][0]["namespace"] = of or namespace
    return made


def network_policy(namespace: str) -> dict[str, Any]:
    return manifests.network_policy(namespace, {"podSelector": {}})


def secret(namespace: str, name: str = "jupyter-ada-0123456789", **fields: Any) -> dict[str, Any]:
    made = token.secret(
        name, pod={"metadata": {"name": "jupyter-ada", "namespace": namespace, "uid": UID}}, value="t"
    )
    return {**made, **fields}


def claim(namespace: str, name: str = "claim-ada", *, old_class: str | None = None, **spec: Any) -> dict[str, Any]:
    """`old_class`: a storage class as it was named before there was a field for it."""
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    meta: dict[str, Any] = {"name": name, "namespace": namespace}
    if old_class is not None:
        meta["annotations"] = {CLASS_ANNOTATION: old_class}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": wanted}


def ephemeral(**choice: Any) -> list[dict[str, Any]]:
    """Volumes of a pod: for the second, Kubernetes makes a claim."""
    made = claim("", "", **choice)
    template = {"metadata": {"annotations": made["metadata"].get("annotations", {})}, "spec": made["spec"]}
    return [{"name": "first", "emptyDir": {}}, {"name": "second", "ephemeral": {"volumeClaimTemplate": template}}]


def service(namespace: str, **spec: Any) -> dict[str, Any]:
    meta = {"name": "mnist-worker-0", "namespace": namespace}
    spec = {"clusterIP": "None", "ports": [{"port": 2222}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def child(obj: dict[str, Any]) -> dict[str, Any]:
    """The same as a TFJob's."""
    labels = {OPERATOR_LABEL: OPERATOR_NAME, JOB_LABEL: "mnist", **obj["metadata"].get("labels", {})}
    metadata = {**obj["metadata"], "labels": labels, "ownerReferences": [ownership.owner_reference("mnist", UID)]}
    return {**obj, "metadata": metadata}


def replica(namespace: str, *, container: dict | None = None, **spec: Any) -> dict[str, Any]:
    """A job's new pod."""
    return child(pod(namespace, "mnist-worker-0", container=container, **spec))


def owned(obj: dict[str, Any]) -> dict[str, Any]:
    """A patch that adopts."""
    name, place = obj["metadata"]["name"], obj["metadata"]["namespace"]
    metadata = {"name": name, "namespace": place, "ownerReferences": [ownership.owner_reference("mnist", UID)]}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata}


def renamed(obj: dict[str, Any], name: str) -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], "name": name}}


def patched(obj: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A patch of these fields."""
    metadata = {"name": obj["metadata"]["name"], **fields.pop("metadata", {})}
    if "namespace" in obj["metadata"]:
        metadata["namespace"] = obj["metadata"]["namespace"]
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata, **fields}


def labelled_server(obj: dict[str, Any]) -> dict[str, Any]:
    labels = {**obj["metadata"].get("labels", {}), **LABEL}
    return {**obj, "metadata": {**obj["metadata"], "labels": labels}}


PLACES = [
    namespace("kf-ada"),
    with_nodes(namespace("kf-strict", level="restricted")),
    namespace("kf-lax", level="privileged"),
    # As an administrator makes one beforehand.
    annotated("kf-grace", **{manifests.USER_ANNOTATION: "grace"}),
    nobodys("kf-others"),
    nobodys("measure", **{LEVEL: "baseline"}),
    nobodys("team", **{"kf-spawner.io/tfjobs": "baseline"}),
    nobodys("trusted", **{"kf-spawner.io/tfjobs": "privileged"}),
]
HELD = {"schedulingGates": [{"name": "test"}]}
"""No node of another test runs these pods."""
OF_A_JOB = {OPERATOR_LABEL: OPERATOR_NAME, JOB_LABEL: "mnist"}
ORPHAN = pod("kf-ada", "mnist-worker-1", labels=OF_A_JOB, **HELD)
"""What a deleted job left behind."""
LEFT_BEHIND = pod("default", "mnist-worker-1", labels=OF_A_JOB, **HELD)
SERVER = pod("kf-ada", "jupyter-ada--lab", **HELD)
OTHER_POD = pod("kf-ada", "digits-7d4b9", **HELD)
FOREIGN = pod("default", "foreign", **HELD)
ACCOUNTS = [
    account(name, each)
    for name in ("default", "kube-system", *(place["metadata"]["name"] for place in PLACES))
    for each in ("default", "notebook")
]
OBJECTS = [
    *ACCOUNTS,
    account("kf-ada", "strong"),
    manifests.binding("kf-ada"),
    *(ORPHAN, LEFT_BEHIND, SERVER, OTHER_POD, FOREIGN),
    claim("kf-ada", "claim-old"),
    claim("default", "data"),
]
"""What is there before the requests, made by an administrator."""

ANOTHER = {"kind": "PersistentVolumeClaim", "name": "data"}
CHOOSING: list[tuple[dict[str, Any], str]] = [
    ({"volumeName": "pv-of-grace"}, "volumeName and selector"),
    ({"selector": {"matchLabels": {"of": "grace"}}}, "volumeName and selector"),
    ({"dataSource": ANOTHER}, "dataSource and dataSourceRef"),
    ({"dataSourceRef": ANOTHER}, "dataSource and dataSourceRef"),
    ({"storageClassName": ""}, "an empty class binds"),
    ({"old_class": ""}, "an empty class binds"),
    ({"old_class": "fast", "storageClassName": "slow"}, "an empty class binds"),
]
"""Of a claim, what chooses or copies a volume that exists, and what is said of it."""
HOST_PATH = [{"name": "host", "hostPath": {"path": "/"}}]
NOT_USERS = "is no user's namespace"
NOT_THE_HUBS = "is none of the hub's"
BESIDE = "beside those that it is for"
NO_LESS = "never less than there was"
NEVER_WHOSE = "never whose they are"
NOT_PRIVILEGED = "containers of users are not privileged"
NO_JOBS = "TFJobs do not run in the namespace default"
NO_CHILD = "is none"
ONLY_OWNERS = "changes nothing else"

OF_THE_HUB = [
    # Namespaces
    Request(HUB, "create", namespace("kf-new")),
    Request(HUB, "create", namespace("kf-new", level="restricted")),
    Request(HUB, "create", namespace("kf-new", team="blue")),
    Request(HUB, "patch", namespace("kf-ada", team="blue")),
    Request(HUB, "patch", namespace("kf-grace", user="grace")),
    Request(HUB, "patch", namespace("kf-strict", level="restricted")),
    Request(HUB, "patch", namespace("kf-lax")),
    Request(HUB, "create", namespace("new"), "the name of one begins with kf-"),
    Request(HUB, "create", nobodys("kf-new"), NEVER_WHOSE),
    Request(HUB, "create", namespace("kf-new", level="privileged"), NO_LESS),
    Request(HUB, "create", namespace("kf-new", **{f"{LEVEL}-version": "v1.0"}), NO_LESS),
    Request(HUB, "create", namespace("kf-new", **{"app.kubernetes.io/managed-by": "me"}), "has kf-spawner there"),
    Request(HUB, "patch", namespace("kube-system"), "kube-system cannot be a user's namespace"),
    Request(HUB, "patch", nobodys("kube-system", **{LEVEL: "privileged"}), "kube-system cannot be"),
    Request(HUB, "patch", namespace("kf-others"), NEVER_WHOSE),
    Request(HUB, "patch", of_another("kf-ada", "eve"), NEVER_WHOSE),
    Request(HUB, "patch", of_another("kf-ada", None), NEVER_WHOSE),
    Request(HUB, "patch", nobodys("kf-ada", **{LEVEL: "privileged"}), NO_LESS),
    Request(HUB, "patch", nobodys("kf-ada", **{f"{LEVEL}-version": "v1.0"}), NO_LESS),
    Request(HUB, "patch", namespace("kf-strict", level="baseline"), NO_LESS),
    Request(HUB, "create", namespace("kf-new", **{"example.com/team": "blue", f"{POD_SECURITY}/warn": "restricted"})),
    Request(HUB, "create", namespace("kf-new", **{"kf-spawner.io/tfjobs": "privileged"}), BESIDE),
    Request(HUB, "patch", namespace("kf-ada", **{"kf-spawner.io/tfjobs": "privileged"}), BESIDE),
    Request(HUB, "patch", namespace("kf-ada", **{"scheduler.alpha.kubernetes.io/x": "y"}), BESIDE),
    Request(HUB, "patch", annotated("kf-ada", **{NODES: "disk=fast"}), BESIDE),
    Request(HUB, "patch", annotated("kf-strict", **{NODES: None}), BESIDE),
    Request(HUB, "patch", annotated("kf-ada", team="blue")),
    # Accounts and what they may do
    Request(HUB, "patch", account("kf-ada")),
    Request(HUB, "patch", account("kf-grace")),
    Request(HUB, "create", account("kf-ada", "other"), NOT_THE_HUBS),
    Request(HUB, "create", account("kube-system"), NOT_USERS),
    Request(HUB, "create", account("kf-others"), NOT_USERS),
    Request(HUB, "patch", account("kf-ada", annotations={"eks.amazonaws.com/role-arn": "a"}), "leaves those of acc"),
    Request(HUB, "create", binding("kf-grace")),
    Request(HUB, "patch", binding("kf-ada")),
    Request(HUB, "create", binding("kube-system"), NOT_USERS),
    Request(HUB, "create", binding("kf-ada", name="other"), NOT_THE_HUBS),
    Request(HUB, "create", binding("kf-grace", of="kf-ada"), "binds the cluster role kf-spawner-notebook alone"),
    Request(HUB, "create", binding("kf-grace", role="edit"), "binds the cluster role kf-spawner-notebook alone"),
    Request(HUB, "create", network_policy("kf-ada")),
    Request(HUB, "create", renamed(network_policy("kf-ada"), "open"), NOT_THE_HUBS),
    Request(HUB, "create", network_policy("kube-system"), NOT_USERS),
    Request(HUB, "create", manifests.quota("kf-ada", {"pods": 5})),
    Request(HUB, "create", manifests.limits("kf-ada", requests={"cpu": "1"}, largest_claim="")),
    Request(HUB, "create", renamed(manifests.quota("kf-ada", {"pods": 5}), "mine"), NOT_THE_HUBS),
    Request(HUB, "create", manifests.quota("kube-system", {"pods": 0}), NOT_USERS),
    # Servers
    Request(HUB, "create", pod("kf-ada")),
    Request(HUB, "create", pod("kf-grace")),
    Request(HUB, "create", pod("kf-ada", "jupyter-ada--lab2", serviceAccountName="default")),
    Request(
        HUB, "create", pod("kf-ada", volumes=[{"name": "home", "persistentVolumeClaim": {"claimName": "claim-ada"}}])
    ),
    Request(HUB, "create", pod("kf-ada", container=secured(capabilities={"add": ["NET_BIND_SERVICE"]}))),
    Request(HUB, "patch", patched(SERVER, metadata={"annotations": {"a": "b"}})),
    Request(HUB, "delete", SERVER),
    Request(HUB, "create", pod("kube-system", "step"), NOT_USERS),
    Request(HUB, "create", pod("default"), NOT_USERS),
    Request(HUB, "create", pod("kf-others"), NOT_USERS),
    Request(HUB, "create", pod("kf-ada", "other"), NOT_THE_HUBS),
    Request(HUB, "create", pod("kf-ada", serviceAccountName="strong"), "run as the account notebook"),
    Request(HUB, "create", pod("kf-grace", volumes=HOST_PATH), "mount no hostPath"),
    Request(HUB, "create", pod("kf-grace", hostNetwork=True), "no host namespaces"),
    Request(HUB, "create", pod("kf-grace", container=secured(privileged=True)), NOT_PRIVILEGED),
    Request(HUB, "create", pod("kf-grace", container=secured(capabilities={"add": ["SYS_ADMIN"]})), NOT_PRIVILEGED),
    Request(HUB, "create", pod("kf-ada", volumes=HOST_PATH), "violates PodSecurity"),
    Request(HUB, "patch", patched(FOREIGN, metadata={"labels": {"a": "b"}}), NOT_USERS),
    Request(HUB, "delete", FOREIGN, NOT_USERS),
    Request(HUB, "delete", OTHER_POD, NOT_THE_HUBS),
    Request(HUB, "create", secret("kf-ada")),
    Request(HUB, "create", secret("kube-system"), NOT_USERS),
    Request(HUB, "create", secret("kf-ada", "other"), NOT_THE_HUBS),
    Request(
        HUB,
        "create",
        secret(
            "kf-ada",
            type="kubernetes.io/service-account-token",
            metadata={
                "name": "jupyter-ada-token",
                "namespace": "kf-ada",
                "annotations": {"kubernetes.io/service-account.name": "strong"},
            },
        ),
        "Secrets are Opaque",
    ),
    # Claims
    Request(HUB, "create", claim("kf-ada")),
    Request(HUB, "create", claim("kf-ada", storageClassName="fast")),
    # As KubeSpawner names a class.
    Request(HUB, "create", claim("kf-ada", storageClassName="fast", old_class="fast")),
    Request(HUB, "delete", claim("kf-ada", "claim-old")),
    *(Request(HUB, "create", claim("kf-ada", **choice), says) for choice, says in CHOOSING),
    Request(HUB, "create", claim("kf-ada", "other"), NOT_THE_HUBS),
    Request(HUB, "delete", claim("default", "data"), NOT_USERS),
]

OF_THE_OPERATOR = [
    Request(OPERATOR, "create", replica("kf-ada")),
    Request(OPERATOR, "create", replica("kf-ada", serviceAccountName="notebook")),
    Request(OPERATOR, "create", replica("kf-grace")),
    Request(OPERATOR, "create", replica("team")),
    Request(
        OPERATOR, "create", replica("trusted", volumes=HOST_PATH, hostIPC=True, container=secured(privileged=True))
    ),
    Request(OPERATOR, "create", replica("kf-ada", container={"image": "i", **secured(runAsUser=0)})),
    Request(OPERATOR, "create", child(service("kf-ada"))),
    Request(OPERATOR, "create", child(claim("kf-ada", "data-mnist-worker-0"))),
    Request(OPERATOR, "patch", owned(ORPHAN)),
    Request(OPERATOR, "delete", ORPHAN),
    Request(OPERATOR, "delete", LEFT_BEHIND),
    Request(OPERATOR, "create", replica("default"), NO_JOBS),
    Request(OPERATOR, "create", replica("kube-system"), "TFJobs do not run in the namespace kube-system"),
    Request(OPERATOR, "create", child(service("default")), NO_JOBS),
    Request(OPERATOR, "create", child(claim("default", "data-mnist-worker-0")), NO_JOBS),
    Request(OPERATOR, "patch", owned(LEFT_BEHIND), NO_JOBS),
    Request(OPERATOR, "create", pod("kf-ada", "step"), NO_CHILD),
    Request(OPERATOR, "create", claim("kf-ada", "data"), NO_CHILD),
    Request(OPERATOR, "patch", owned(SERVER), NO_CHILD),
    Request(OPERATOR, "patch", patched(SERVER, metadata={"labels": {OPERATOR_LABEL: OPERATOR_NAME}}), NO_CHILD),
    Request(OPERATOR, "delete", SERVER, NO_CHILD),
    Request(OPERATOR, "delete", FOREIGN, NO_CHILD),
    Request(
        OPERATOR, "patch", patched(ORPHAN, spec={"containers": [{"name": "notebook", "image": "mine"}]}), ONLY_OWNERS
    ),
    Request(OPERATOR, "patch", patched(ORPHAN, metadata={"labels": {"a": "b"}}), ONLY_OWNERS),
    Request(OPERATOR, "patch", patched(ORPHAN, metadata={"annotations": {"a": "b"}}), ONLY_OWNERS),
    Request(OPERATOR, "create", child(service("kf-ada", clusterIP=None, type="LoadBalancer")), "is headless"),
    *(Request(OPERATOR, "create", child(claim("team", "d", **choice)), says) for choice, says in CHOOSING),
    *(Request(OPERATOR, "create", replica("team", volumes=ephemeral(**choice)), says) for choice, says in CHOOSING),
    Request(OPERATOR, "create", replica("kf-ada", volumes=ephemeral(storageClassName="fast"))),
    Request(OPERATOR, "create", labelled_server(replica("kf-ada")), "only the hub makes pods"),
]

OF_USERS = [
    Request(REPLICASETS, "create", pod("kf-ada", "digits-1")),
    Request(
        REPLICASETS,
        "create",
        labelled_server(pod("kf-ada", "digits-1")),
        "only the hub makes pods with the value singleuser-server",
    ),
    Request(REPLICASETS, "create", labelled_server(pod("default", "other-1"))),
    Request(REPLICASETS, "create", pod("kf-ada", "digits-1", nodeName="node-1"), "the scheduler chooses the node"),
    Request(REPLICASETS, "create", pod("default", "other-1", nodeName="node-1")),
    Request(
        REPLICASETS, "create", pod("kf-ada", "digits-1", priorityClassName="system-node-critical"), "no priority of"
    ),
    Request(REPLICASETS, "create", pod("default", "other-1", priorityClassName="system-node-critical")),
    Request(REPLICASETS, "create", pod("kf-ada", "digits-1", volumes=ephemeral())),
    *(
        Request(REPLICASETS, "create", pod("kf-ada", "digits-1", volumes=ephemeral(**choice)), says)
        for choice, says in [*CHOOSING, ({"storageClassName": "fast"}, "or that of home volumes")]
    ),
    Request(REPLICASETS, "create", pod("default", "other-1", volumes=ephemeral(volumeName="pv-of-grace"))),
    Request(ADA, "create", {**service("kf-ada"), "metadata": {"name": "digits", "namespace": "kf-ada"}}),
    Request(ADA, "create", service("kf-ada", clusterIP=None, type="NodePort"), "make it a ClusterIP"),
    Request(ADA, "create", service("kf-ada", clusterIP=None, externalIPs=["10.9.8.7"]), "spec.externalIPs"),
]

TABLE = [*OF_THE_HUB, *OF_THE_OPERATOR, *OF_USERS]
