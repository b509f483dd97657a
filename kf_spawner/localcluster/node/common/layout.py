"""The files that the node keeps below its root. Paths only.

node.lock                                   held by the one running node
pods/UID/pod.json                           the pod as the node last saw it, for a clean-up by the next node
pods/UID/devices.json                       container -> GPU indices
pods/UID/containers/NAME/ATTEMPT/           see process/attempts.py
"""

from pathlib import Path


def lock_file(root: Path) -> Path:
    return root / "node.lock"


def pods(root: Path) -> Path:
    return root / "pods"


def pod(root: Path, uid: str) -> Path:
    return pods(root) / uid


def containers(root: Path, uid: str) -> Path:
    return pod(root, uid) / "containers"


def container(root: Path, uid: str, name: str) -> Path:
    return containers(root, uid) / name


def pod_record(root: Path, uid: str) -> Path:
    return pod(root, uid) / "pod.json"


def devices_record(root: Path, uid: str) -> Path:
    return pod(root, uid) / "devices.json"
