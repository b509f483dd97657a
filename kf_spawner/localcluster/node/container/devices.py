"""Allocates GPUs to containers. One file for each pod records them, so that a new node allocates no GPU twice."""

from pathlib import Path
from typing import Any

from kf_spawner.k8s import quantities
from kf_spawner.k8s.names import GPU

from ..common import layout
from ..common.json_files import read_json, write_json


class NoDevice(Exception):
    """A pod wants more GPUs than are free."""


class Devices:
    """The GPU indices of one machine, allocated to containers for the life of their pod."""

    def __init__(self, root: Path):
        self._root = root
        self._indices: list[int] = []
        self._given: dict[str, dict[str, list[int]]] = {
            record.parent.name: read_json(record) for record in layout.pods(root).glob("*/devices.json")
        }

    def add(self, indices: list[int]) -> None:
        self._indices += indices

    def allocate(self, pod: dict[str, Any]) -> dict[str, list[int]]:
        """container -> indices: what the pod already has, else free ones. Raises NoDevice."""
        uid = pod["metadata"]["uid"]
        if uid in self._given:
            return self._given[uid]
        given = self._choose(pod)
        if given:
            write_json(layout.devices_record(self._root, uid), given)
            self._given[uid] = given
        return given

    def _choose(self, pod: dict[str, Any]) -> dict[str, list[int]]:
        taken = {index for pods in self._given.values() for indices in pods.values() for index in indices}
        free = [index for index in self._indices if index not in taken]
        given = {}
        for name, count in wanted(pod).items():
            if count > len(free):
                raise NoDevice(f"{count} {GPU} requested for container {name}, {len(free)} free")
            given[name], free = free[:count], free[count:]
        return given

    def release(self, uid: str) -> None:
        self._given.pop(uid, None)
        layout.devices_record(self._root, uid).unlink(missing_ok=True)


def wanted(pod: dict[str, Any]) -> dict[str, int]:
    """The number of GPUs of each container that requests some."""
    counts = {}
    for container in [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]:
        count = int(quantities.parse(((container.get("resources") or {}).get("limits") or {}).get(GPU, "0")))
        if count:
            counts[container["name"]] = count
    return counts
