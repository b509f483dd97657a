"""Answers what the kubelet API asks about containers, from the workers of the pods."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..common import layout
from ..container.runner import ContainerRunner
from ..pod.agent import Agent
from ..process.attempts import Attempt
from .server import LogsUnavailable

WAITING = {"ErrImagePull": "image can't be pulled", "ImagePullBackOff": "trying and failing to pull image"}
"""The words of a kubelet for these reasons, for a client that asks for the logs."""


class NotRunning(Exception):
    """No running container has this name."""


class Access:
    """The `server.ContainerAccess` of one agent. `root` is the folder of the node."""

    def __init__(self, agent: Agent, root: Path):
        self._agent = agent
        self._root = root

    def log_files(self, namespace: str, pod: str, container: str, previous: bool) -> Sequence[Path]:
        worker = self._agent.worker(namespace, pod)
        if worker is None:
            raise LogsUnavailable(f'pod "{pod}" is not on this node', status=404)
        runner = worker.runner(container)
        if runner is None:
            raise LogsUnavailable(f"container {container} is not valid for pod {pod}", status=404)
        attempt = runner.attempt
        if previous:
            number = attempt.number - 1 if attempt else -1
            directory = layout.container(self._root, worker.state.uid, container) / str(number)
            if number < 0 or not directory.exists():
                raise LogsUnavailable(f'previous terminated container "{container}" in pod "{pod}" not found')
            return Attempt.files_of(directory)
        if attempt is None:
            reason = (runner.view.state.get("waiting") or {}).get("reason") or "not started"
            raise LogsUnavailable(
                f'container "{container}" in pod "{pod}" is waiting to start: {WAITING.get(reason, reason)}'
            )
        return Attempt.files_of(attempt.directory)

    def running(self, namespace: str, pod: str, container: str) -> bool:
        attempt = self._attempt(namespace, pod, container)
        return attempt is not None and attempt.running

    async def wait_stopped(self, namespace: str, pod: str, container: str) -> None:
        attempt = self._attempt(namespace, pod, container)
        if attempt is not None:
            await attempt.wait()

    def exec_context(self, namespace: str, pod: str, container: str) -> tuple[Mapping[str, str], str]:
        spec = self._running(namespace, pod, container).spec
        return spec["env"], spec["cwd"]

    def translate_argv(self, namespace: str, pod: str, container: str, argv: Sequence[str]) -> Sequence[str]:
        runner = self._runner(namespace, pod, container)
        if runner is None:
            raise NotRunning(f'container "{container}" of pod "{pod}" is not running')
        return [runner.translate(word) for word in argv]

    def _runner(self, namespace: str, pod: str, container: str) -> ContainerRunner | None:
        worker = self._agent.worker(namespace, pod)
        return worker.runner(container) if worker else None

    def _attempt(self, namespace: str, pod: str, container: str) -> Attempt | None:
        runner = self._runner(namespace, pod, container)
        return runner.attempt if runner else None

    def _running(self, namespace: str, pod: str, container: str) -> Attempt:
        attempt = self._attempt(namespace, pod, container)
        if attempt is None or not attempt.running:
            raise NotRunning(f'container "{container}" of pod "{pod}" is not running')
        return attempt
