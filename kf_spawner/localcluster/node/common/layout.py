"""Where the node keeps what about pods, below its root. Paths only.

node.lock                                   held by the one running node
pods/UID/pod.json                           the pod as it was last seen: all that an orphan's clean-up has to go by
pods/UID/devices.json                       container -> GPU indices
pods/UID/containers/NAME/ATTEMPT/           see attempts.py
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
