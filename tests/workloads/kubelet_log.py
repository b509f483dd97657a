"""A pod's log as the Kubernetes API serves it, in memory: it grows, its container restarts, connections break off."""

from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from typing import Any

from kf_spawner.kube import ApiError, Unreachable, lines

START = 1_780_000_000  # seconds since 1970
Line = tuple[int, str]
"""Nanoseconds after START, and the text."""


class KubeletLog:
    """Stands in for `kube.Client` where only a pod's list and log are asked for.

    `breaks`: after how many lines each of the next requests for a log breaks off; None: not at all. `before_request`
    is called at the beginning of each, `before_status` by whoever asks how the pod is. Lines of more than `longest`
    bytes come in pieces.
    """

    longest = 48

    def __init__(self) -> None:
        self.runs: list[list[Line]] = [[]]
        self.rotated = 0
        self.finished = False
        self.breaks: list[int | None] = []
        self.before_request: Callable[[], None] = lambda: None
        self.before_status: Callable[[], None] = lambda: None
        self._pod: dict | None = None

    def write(self, lines: list[Line]) -> None:
        self.runs[-1].extend(lines)

    def restart(self) -> None:
        self.runs.append([])
        self._pod = None

    def finish(self) -> None:
        self.finished = True
        self._pod = None

    @property
    def pod(self) -> dict:
        """The same object until the pod changes, as an informer has it."""
        if self._pod is None:
            state = {"terminated": {}} if self.finished else {"running": {}}
            status = {"name": "main", "state": state, "restartCount": len(self.runs) - 1}
            self._pod = {
                "metadata": {"namespace": "ns", "name": "pod", "uid": "uid"},
                "spec": {"containers": [{"name": "main"}]},
                "status": {"phase": "Succeeded" if self.finished else "Running", "containerStatuses": [status]},
            }
        return self._pod

    async def list(self, *_args: object, **_options: object) -> dict:
        return {"items": [self.pod]}

    def log_lines(self, *names: str, **options: Any) -> AsyncGenerator[lines.Line, None]:
        return lines.split_lines(self._logs(*names, **options), longest=self.longest)

    async def _logs(
        self,
        _namespace: str,
        _pod: str,
        _container: str,
        *,
        timestamps: bool,
        follow: bool = False,
        previous: bool = False,
        tail_lines: int | None = None,
        since_time: str | None = None,
    ) -> AsyncGenerator[bytes, None]:
        assert timestamps
        self.before_request()
        left = self.breaks.pop(0) if self.breaks else None
        if previous and len(self.runs) < 2:
            raise ApiError(400, "BadRequest", "there is no previous container")
        run = self.runs[-2] if previous else self.runs[-1][self.rotated :]
        if since_time is not None:
            since = int(datetime.fromisoformat(since_time).timestamp() - START) * 1_000_000_000
            run = [line for line in run if line[0] >= since]
        if tail_lines is not None:
            run = run[-tail_lines:]
        for time, text in run:
            if left == 0:
                raise Unreachable("the connection broke off")
            left = None if left is None else left - 1
            yield f"{stamp(time)} {text}\n".encode()


def stamp(time: int) -> str:
    """The time as the kubelet writes it."""
    seconds, nanoseconds = divmod(time, 1_000_000_000)
    moment = datetime.fromtimestamp(START + seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"
