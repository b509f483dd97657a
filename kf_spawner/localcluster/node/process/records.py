"""The two files between the node and a shim: the shapes of `spec.json` and of `exit.json`."""

from typing import NotRequired, TypedDict


class ShimSpec(TypedDict):
    """What the shim starts, and its limits. The node writes it before it starts the shim."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    directories: dict[str, str]  # path in the container -> directory of this machine
    imageID: str
    memoryLimit: int | None  # bytes
    oomScoreAdj: int
    logMaxBytes: int
    logMaxFiles: int
    nodeLock: str  # path of the file that a running node keeps locked
    orphanGrace: float  # seconds that the container may run without a node
    gracePeriod: float  # seconds from SIGTERM to the kill


class ExitRecord(TypedDict):
    """How the attempt ended. Times are nanoseconds since the epoch."""

    startedAt: int
    finishedAt: int
    exitCode: int
    signal: NotRequired[int]
    oom: NotRequired[bool]
    error: NotRequired[str]  # why the process could not be started
