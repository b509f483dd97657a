"""Pods for tests on one node, whatever node that is: made, waited for, asked, looked at.

Knows the API alone: nothing of what runs behind it. Every wait is for the state that the caller names, seen in a
watch, so that a state that lasts for a moment is not missed.
"""

import asyncio
import contextlib
import itertools
import json
import subprocess
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kf_spawner.kube import Client, Forbidden, Gone, NotFound, Unreachable
from kf_spawner.kube.resources import EVENTS, PODS

TIMEOUT = 60.0
POLL = 0.1
IMAGE = "kf-spawner/plain:0.1.0"
HELLO = "the image says hello"
"""What a container of that image says when it is not told anything else."""
NUMBERS = itertools.count()
OVER = ("Succeeded", "Failed")


@dataclass(frozen=True, kw_only=True)
class NodeUnderTest:
    """Where the pods of a test run.

    `containers`: whether the node makes real ones; `backoff`: seconds of the first pause of a crash loop; `log`: the
    end of what the node says, for a test that fails.
    """

    kubeconfig: Path
    kubectl: Path
    node: str
    namespace: str
    containers: bool
    backoff: int
    image: str = IMAGE
    log: Callable[[], str] = lambda: ""


class Pods:
    """The pods of one test."""

    def __init__(self, client: Client, target: NodeUnderTest):
        self.client = client
        self.target = target
        self.namespace = target.namespace

    # Make and end

    async def pod(self, *containers: dict, name: str = "", **spec: object) -> dict:
        """Creates a pod on the node; each container is `{"name", "command", …}` with the test's image by default."""
        filled = [self._filled(container, index, "c") for index, container in enumerate(containers)]
        init = [self._filled(part, index, "init") for index, part in enumerate(spec.pop("init", []))]  # type: ignore[arg-type, var-annotated]
        meta = {"name": name or f"pod-{next(NUMBERS)}", "namespace": self.namespace, **spec.pop("metadata", {})}  # type: ignore[dict-item]
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": meta,
            "spec": {
                "nodeName": self.target.node,
                "containers": filled,
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 5,
                **({"initContainers": init} if init else {}),
                **spec,
            },
        }
        async with asyncio.timeout(TIMEOUT):
            while True:
                # Forbidden: the namespace's service account is made a moment after it.
                with contextlib.suppress(Forbidden):
                    return await self.client.create(PODS, body)
                await asyncio.sleep(POLL)

    def _filled(self, container: dict, index: int, prefix: str) -> dict:
        return {"name": f"{prefix}{index}", "image": self.target.image, **container}

    async def delete(self, pod: dict, grace_period: int | None = None) -> None:
        await self.client.delete(PODS, pod["metadata"]["name"], self.namespace, grace_period=grace_period)

    async def clear(self) -> None:
        """Tells all pods to go."""
        for pod in await self.pods():
            with contextlib.suppress(NotFound):
                await self.delete(pod, grace_period=1)

    async def let_go(self, pod: dict) -> None:
        """Takes the finalizers from a deleted pod that was kept to be looked at."""
        patch = {"metadata": {"finalizers": None}}
        await self.client.patch(PODS, pod["metadata"]["name"], patch, self.namespace)
        await self.gone(pod)

    # Look and wait

    async def get(self, pod: dict) -> dict:
        return await self.client.get(PODS, pod["metadata"]["name"], self.namespace)

    async def pods(self) -> list[dict]:
        return (await self.client.list(PODS, self.namespace))["items"]

    async def until(self, pod: dict, wanted: Callable[[dict], object], timeout: float = TIMEOUT) -> dict:
        """The pod as it was when `wanted(pod)` became true; fails with its status, events and the node's log else."""
        now = await self.get(pod)
        try:
            async with asyncio.timeout(timeout), contextlib.aclosing(self._states(now)) as states:
                async for now in states:
                    if wanted(now):
                        return now
        except TimeoutError:
            pass
        pytest.fail(
            f"not reached: {json.dumps(now['status'], indent=1)}\n{await self.events(pod)}\n{self.target.log()}"
        )

    async def _states(self, pod: dict) -> AsyncGenerator[dict, None]:
        """The pod as it is, then each of its changes, until it is gone."""
        while True:
            yield pod
            with contextlib.suppress(Gone, Unreachable):  # the API server has restarted: look again
                async with contextlib.aclosing(self._changes(pod)) as changes:
                    async for kind, now in changes:
                        yield now
                        if kind == "DELETED":
                            return
            with contextlib.suppress(Unreachable):
                pod = await self.get(pod)

    async def _changes(self, pod: dict) -> AsyncGenerator[tuple[str, dict], None]:
        selector, version = f"metadata.name={pod['metadata']['name']}", pod["metadata"]["resourceVersion"]
        while True:
            events = self.client.watch(PODS, self.namespace, resource_version=version, field_selector=selector)
            async with contextlib.aclosing(events):
                async for kind, now in events:
                    version = now["metadata"]["resourceVersion"]
                    if kind != "BOOKMARK":
                        yield kind, now

    async def phase(self, pod: dict, phase: str) -> dict:
        return await self.until(pod, lambda now: now["status"].get("phase") == phase)

    async def over(self, pod: dict) -> dict:
        """The pod once none of its containers will run again."""
        return await self.until(pod, lambda now: now["status"].get("phase") in OVER)

    async def ready(self, pod: dict) -> dict:
        return await self.until(pod, lambda now: condition(now, "Ready") == "True")

    async def running(self, pod: dict, name: str = "c0") -> dict:
        return await self.until(pod, lambda now: "running" in container(now, name)["state"])

    async def restarted(self, pod: dict, name: str = "c0", times: int = 1) -> dict:
        return await self.until(pod, lambda now: container(now, name).get("restartCount", 0) >= times)

    async def again(self, pod: dict) -> dict:
        """The pod once its container runs again after an end."""
        return await self.until(
            pod, lambda now: container(now).get("restartCount", 0) >= 1 and "running" in container(now)["state"]
        )

    async def waiting(self, pod: dict, reason: str, name: str = "c0") -> dict:
        return await self.until(pod, lambda now: waits(now, name).get("reason") == reason)

    async def gone(self, pod: dict, timeout: float = TIMEOUT) -> None:
        uid = pod["metadata"]["uid"]
        try:
            async with asyncio.timeout(timeout):
                while any(item["metadata"]["uid"] == uid for item in await self.pods()):
                    await asyncio.sleep(POLL)
        except TimeoutError:
            pytest.fail(f"not gone: {await self.get(pod)}\n{self.target.log()}")

    # What it says

    async def output(self, pod: dict, name: str = "c0") -> str:
        """All that the container wrote, once the pod is over."""
        await self.over(pod)
        return await self.logs(pod, name)

    async def logs(self, pod: dict, name: str = "c0", **options: object) -> str:
        pieces = self.client.logs(self.namespace, pod["metadata"]["name"], name, **options)  # type: ignore[arg-type]
        return b"".join([piece async for piece in pieces]).decode()

    async def first_line(self, pod: dict, name: str = "c0") -> str:
        """What the container wrote first, once it did."""
        await self.until(
            pod,
            lambda now: "running" in container(now, name)["state"] or "terminated" in container(now, name)["state"],
        )
        lines = self.client.log_lines(self.namespace, pod["metadata"]["name"], name, follow=True)
        try:
            return (await asyncio.wait_for(anext(lines), TIMEOUT)).data.decode()
        finally:
            await lines.aclose()

    async def events(self, pod: dict) -> list[tuple[str, str, str]]:
        """(type, reason, message) of the pod's events, oldest first."""
        selector = f"involvedObject.uid={pod['metadata']['uid']}"
        items = (await self.client.list(EVENTS, self.namespace, field_selector=selector))["items"]
        items.sort(key=lambda item: (item["firstTimestamp"] or "", int(item["metadata"]["resourceVersion"])))
        return [(item["type"], item["reason"], item["message"]) for item in items]

    async def event(self, pod: dict, reason: str, part: str = "", timeout: float = TIMEOUT) -> tuple[str, str, str]:
        """The first event of that reason with `part` in its message, once it is there."""
        try:
            async with asyncio.timeout(timeout):
                while True:
                    for event in await self.events(pod):
                        if event[1] == reason and part in event[2]:
                            return event
                    await asyncio.sleep(POLL)
        except TimeoutError:
            pytest.fail(f"no event {reason} with {part!r}: {await self.events(pod)}\n{self.target.log()}")

    # kubectl

    def argv(self, *words: str) -> list[str]:
        """kubectl in the test's namespace."""
        target = self.target
        return [str(target.kubectl), f"--kubeconfig={target.kubeconfig}", f"--namespace={target.namespace}", *words]

    async def kubectl(self, *words: str, stdin: bytes | None = None) -> tuple[int, str, str]:
        """Exit code, output and errors."""
        process = await asyncio.create_subprocess_exec(
            *self.argv(*words),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(TIMEOUT):
                out, err = await process.communicate(stdin)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def run(self, pod: dict, *argv: str, name: str = "c0") -> str:
        """What a command in a running container says; it must succeed."""
        code, out, err = await self.kubectl("exec", pod["metadata"]["name"], "-c", name, "--", *argv)
        assert code == 0, err
        return out


def condition(pod: dict, kind: str) -> str | None:
    return about(pod, kind).get("status")


def about(pod: dict, kind: str) -> dict:
    """A condition, whole."""
    return next((entry for entry in pod["status"].get("conditions") or [] if entry["type"] == kind), {})


def container(pod: dict, name: str = "c0") -> dict:
    """A container's status."""
    statuses = [*pod["status"].get("containerStatuses", []), *pod["status"].get("initContainerStatuses", [])]
    return next((status for status in statuses if status["name"] == name), {"state": {}})


def ended(pod: dict, name: str = "c0") -> dict:
    return container(pod, name)["state"].get("terminated") or {}


def last(pod: dict, name: str = "c0") -> dict:
    """How the attempt before ended."""
    return (container(pod, name).get("lastState") or {}).get("terminated") or {}


def waits(pod: dict, name: str = "c0") -> dict:
    return container(pod, name)["state"].get("waiting") or {}


def sh(script: str, **fields: object) -> dict:
    return {"command": ["sh", "-c", script], **fields}


def python(script: str, **fields: object) -> dict:
    return {"command": ["python", "-c", script], **fields}


def with_data(part: dict, path: str = "/data") -> dict:
    """The container with the volume `data` mounted."""
    return {**part, "volumeMounts": [*part.get("volumeMounts", []), {"name": "data", "mountPath": path}]}


DATA = {"volumes": [{"name": "data", "emptyDir": {}}]}
"""Fields of a pod that has the volume `data`."""
