"""A user's session that faults happen to: a server, a file at home, and a job that runs until it is told to end.

Needs the platform's images and one for notebooks on the nodes (`make images`).
"""

import asyncio
import collections
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from pathlib import Path

import aiohttp

from kf_spawner.kube import ApiError, Client
from kf_spawner.kube.resources import CLAIMS, EVENTS, PODS, SERVICEACCOUNTS, VOLUMES
from kf_spawner.tfjob.names import TFJOBS
from tests.cluster.layout import BUSYBOX_IMAGE
from tests.e2e.client import HubClient

from .conftest import until
from .platform import Platform

USERS = "kf-admin"
CLAIM = "faults"
KEPT = "what was written before"
PATIENCE = 240.0
PAUSE = 0.2
# Each start is noted; the program goes on until a file says that it may end.
PROGRAM = 'echo "$JOB $HOSTNAME $NODE" >>/faults/starts; until [ -e "/faults/$JOB.end" ]; do sleep 0.2; done'


class Job:
    """A TFJob of a chief and two workers."""

    REPLICAS = {"Chief": 1, "Worker": 2}

    def __init__(self, client: Client, folder: Path, name: str):
        self._client, self._folder, self.name = client, folder, name

    async def start(self, restart: str = "ExitCode", tolerations: Sequence[dict] = ()) -> "Job":
        """Made, and each replica started once."""
        node = {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
        container = {
            "name": "tensorflow",
            "image": BUSYBOX_IMAGE,
            "args": [PROGRAM],
            "env": [{"name": "JOB", "value": self.name}, node],
            "volumeMounts": [{"name": "faults", "mountPath": "/faults"}],
        }
        volume = {"name": "faults", "persistentVolumeClaim": {"claimName": CLAIM}}
        # A shell as a container's first process takes no notice of SIGTERM.
        pod = {"containers": [container], "volumes": [volume], "terminationGracePeriodSeconds": 1}
        template = {"spec": {**pod, "tolerations": list(tolerations)}}
        replicas = {
            kind: {"replicas": count, "restartPolicy": restart, "template": template}
            for kind, count in self.REPLICAS.items()
        }
        job = {"apiVersion": TFJOBS.api_version, "kind": "TFJob", "metadata": {"name": self.name}}
        await self._client.create(TFJOBS, {**job, "spec": {"tfReplicaSpecs": replicas}}, USERS)
        await self.until_started(sum(self.REPLICAS.values()))
        return self

    async def until_started(self, count: int) -> None:
        """Until so many starts were noted, those of replicas that were started again included."""
        async with asyncio.timeout(PATIENCE):
            while len(self.starts()) < count:
                await asyncio.sleep(PAUSE)

    def starts(self) -> list[tuple[str, str]]:
        """(pod, node) of each start."""
        file = self._folder / "starts"
        noted = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
        return [(pod, node) for job, pod, node in noted if job == self.name]

    def started(self) -> dict[str, int]:
        """How often each replica was started."""
        prefix = f"{self.name}-"
        return dict(collections.Counter(pod.removeprefix(prefix) for pod, _ in self.starts()))

    async def end(self) -> dict:
        """Let it end, and what it says then; nothing of it is left running."""
        (self._folder / f"{self.name}.end").touch()
        return await self.until("Succeeded")

    async def until(self, condition: str) -> dict:
        """The condition, once it is True."""
        job = await patiently(
            lambda: self._client.get(TFJOBS, self.name, USERS), lambda job: condition in _true(job), PATIENCE
        )
        return _true(job)[condition]

    async def created(self, word: str) -> str:
        """What the condition Created says, once it has the word."""
        job = await patiently(
            lambda: self._client.get(TFJOBS, self.name, USERS),
            lambda job: word in _true(job).get("Created", {}).get("message", ""),
            PATIENCE,
        )
        return _true(job)["Created"]["message"]

    async def told(self, reason: str) -> str:
        """The message of an event of the job, once there is one of that reason."""
        return await event(self._client, USERS, self.name, reason)

    async def running(self, replica: str) -> dict:
        """The status of its container, once that says that it runs: the program notes its start before."""
        pod = await patiently(
            lambda: self._client.get(PODS, f"{self.name}-{replica}", USERS),
            lambda pod: any("running" in each["state"] for each in pod["status"].get("containerStatuses", [])),
        )
        return pod["status"]["containerStatuses"][0]


class UserSession:
    """The installed platform, the administrator's two ways to it, and the user's work."""

    def __init__(self, platform: Platform, client: Client, image: str):
        self.platform, self.client, self.image = platform, client, image
        self.page = HubClient(platform.url, password=platform.password)
        """As a browser that logged in once."""
        self.user = HubClient(platform.url, password=platform.password)
        """By a token."""
        self.folder = Path()

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator["UserSession"]:
        async with self.page, self.user:
            assert (await self.page.login()).status == 302
            await self.user.make_token()
            await self.spawn()
            file = {"type": "file", "format": "text", "content": KEPT}
            status, said = await self.user.server("PUT", "/api/contents/kept.txt", json=file)
            assert status == 201, said
            await self._make_folder()
            yield self

    async def _make_folder(self) -> None:
        """A claim that jobs note their starts in; a folder of this machine as well."""
        spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Mi"}}}
        claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM}, "spec": spec}
        await self.client.create(CLAIMS, claim, USERS)
        # Bound as soon as a pod wants it: this one.
        mount = {"name": "faults", "mountPath": "/faults"}
        container = {"name": "main", "image": BUSYBOX_IMAGE, "args": ["true"], "volumeMounts": [mount]}
        volume = {"name": "faults", "persistentVolumeClaim": {"claimName": CLAIM}}
        spec = {"restartPolicy": "Never", "containers": [container], "volumes": [volume]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "first"}, "spec": spec}
        await self.client.create(PODS, pod, USERS)
        bound = await patiently(
            lambda: self.client.get(CLAIMS, CLAIM, USERS), lambda claim: claim["status"].get("phase") == "Bound"
        )
        volume = await self.client.get(VOLUMES, bound["spec"]["volumeName"])
        self.folder = Path(volume["spec"]["local"]["path"])

    async def spawn(self) -> None:
        await self.user.spawn({"image": self.image, "cpu": "100m", "memory": "256Mi"})

    def job(self, name: str) -> Job:
        return Job(self.client, self.folder, name)

    async def until_all_is_well(self) -> None:
        """The server answers with the token of before, what was written is there, and the page is nobody's login."""
        async with asyncio.timeout(PATIENCE):
            while not await self._is_well():
                await asyncio.sleep(PAUSE)

    async def _is_well(self) -> bool:
        try:
            status, file = await self.user.server("GET", "/api/contents/kept.txt")
            return status == 200 and file["content"] == KEPT and await self._is_logged_in()
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def _is_logged_in(self) -> bool:
        async with self.page.session.get(f"{self.page.url}/hub/home", allow_redirects=False) as page:
            return page.status == 200

    async def form(self, word: str) -> str:
        """The page on which a server is started, once it has the word."""
        text = ""
        async with asyncio.timeout(PATIENCE):
            while word not in text:
                async with self.page.session.get(f"{self.page.url}/hub/spawn") as page:
                    text = await page.text()
                await asyncio.sleep(PAUSE)
        return text

    async def logged(self, part: str, words: str, *, since: datetime) -> None:
        """Until the log of a pod of the part has the words, in what it wrote since then."""
        options = ("--prefix", f"--since-time={since.isoformat(timespec='seconds').replace('+00:00', 'Z')}")
        log = ""
        async with asyncio.timeout(PATIENCE):
            while words not in log:
                selector = f"--selector=app.kubernetes.io/component={part}"
                log = await asyncio.to_thread(self.platform.kubectl, "logs", selector, "--tail=-1", *options)
                await asyncio.sleep(PAUSE)

    async def progress(self, word: str) -> None:
        """Until the user's start that is under way says the word."""
        async with asyncio.timeout(PATIENCE):
            while True:
                async for entry in self.user.progress():
                    if word in entry.get("message", ""):
                        return
                    assert not entry.get("failed"), entry
                await asyncio.sleep(PAUSE)

    async def renew_account(self, name: str, namespace: str) -> None:
        """Deletes and creates it again: earlier tokens are refused, though they have not expired."""
        account = await self.client.get(SERVICEACCOUNTS, name, namespace)
        uid = account["metadata"]["uid"]
        await self.client.delete(SERVICEACCOUNTS, name, namespace, uid=uid)
        kept = {
            key: account["metadata"][key] for key in ("name", "labels", "annotations") if key in account["metadata"]
        }
        await patiently(lambda: self._make_account(kept, namespace), lambda made: made["metadata"]["uid"] != uid)

    async def _make_account(self, meta: dict, namespace: str) -> dict:
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
        return await self.client.create(SERVICEACCOUNTS, account, namespace)

    async def refused_start(self, words: str) -> None:
        """Until the hub answers so to another user's start, which could not be in any case: it asks for nonsense."""
        await self.user.api("POST", "/users/other")
        message = ""
        async with asyncio.timeout(PATIENCE):
            while words not in message:
                _, answer = await self.user.api("POST", "/users/other/server", json={"cpu": "nonsense"})
                message = answer.get("message", "")
                await asyncio.sleep(PAUSE)

    async def expired_token(self) -> str:
        """A token of the user that was good for a second."""
        status, made = await self.user.api("POST", f"/users/{self.user.user}/tokens", json={"expires_in": 1})
        assert status == 201, made
        headers = {"Authorization": f"token {made['token']}"}
        async with asyncio.timeout(PATIENCE):
            while True:
                async with self.user.session.get(f"{self.user.url}/hub/api/user", headers=headers) as answer:
                    if answer.status in (401, 403):
                        return made["token"]
                await asyncio.sleep(PAUSE)

    async def part(self, name: str) -> list[dict]:
        """The pods of a part of the platform."""
        selector = f"app.kubernetes.io/component={name}"
        return (await self.client.list(PODS, self.platform.helm.namespace, label_selector=selector))["items"]


async def event(client: Client, namespace: str, name: str, reason: str) -> str:
    """The message of an event about an object of that name, once there is one of that reason."""
    found = await patiently(
        lambda: client.list(EVENTS, namespace, field_selector=f"involvedObject.name={name},reason={reason}"),
        lambda events: bool(events["items"]),
    )
    return found["items"][-1]["message"]


async def patiently(ask: Callable, good: Callable[[dict], bool], patience: float = PATIENCE) -> dict:
    """What `ask()` answers once that is `good`; the API server may be away meanwhile."""

    async def asked() -> dict:
        try:
            answer = await ask()
        except ApiError as error:
            return {"none": str(error)}
        return answer

    return await until(asked, lambda answer: "none" not in answer and good(answer), patience=patience)


def _true(job: dict) -> dict[str, dict]:
    """The conditions that are True, by type."""
    conditions = job.get("status", {}).get("conditions", [])
    return {condition["type"]: condition for condition in conditions if condition["status"] == "True"}
