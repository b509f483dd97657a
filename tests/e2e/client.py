"""A person's way through the hub by HTTP alone: log in, token, spawn by API, a kernel over its websocket."""

import asyncio
import contextlib
import json
import re
import uuid
from collections.abc import AsyncIterator

import aiohttp
from yarl import URL

SPAWN_TIMEOUT = 600.0  # a first spawn builds the image's environment
CELL_TIMEOUT = 300.0
START_SAYS = ("Found a place on node ", "Starting the notebook server.", "The notebook server answers.")
"""What every start tells its user among other things, whatever the node is."""


class HubClient:
    """One user at one hub; use it as an async context manager. `further` are headers of every request."""

    def __init__(self, url: str, user: str = "admin", password: str = "", further: dict[str, str] | None = None):
        self.url = url.rstrip("/").removesuffix("/hub")
        self.user = user
        self.password = password
        self.token = ""
        self._further = further

    async def __aenter__(self) -> "HubClient":
        # A load balancer that has the certificate brings cookies of HTTPS by HTTP.
        cookies = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=URL(self.url))
        self.session = aiohttp.ClientSession(
            headers=self._further, cookie_jar=cookies, timeout=aiohttp.ClientTimeout(total=60)
        )
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.session.close()

    async def login(self) -> aiohttp.ClientResponse:
        """By the form, as a browser does."""
        async with self.session.get(f"{self.url}/hub/login") as page:
            xsrf = re.search(r'name="_xsrf" value="([^"]+)"', await page.text())
        form = {"username": self.user, "password": self.password, "_xsrf": xsrf[1] if xsrf else ""}
        async with self.session.post(f"{self.url}/hub/login", data=form, allow_redirects=False) as response:
            await response.read()
            return response

    async def make_token(self) -> str:
        """Logs in and makes an API token for the user."""
        response = await self.login()
        assert response.status == 302, f"login answered {response.status}"
        async with self.session.get(f"{self.url}/hub/home") as page:
            xsrf = re.search(r'xsrf_token: "([^"]+)"', await page.text())
        assert xsrf, "the home page holds no XSRF token"
        async with self.session.post(
            f"{self.url}/hub/api/users/{self.user}/tokens",
            json={"note": "test"},
            params={"_xsrf": xsrf[1]},
            headers={"Referer": f"{self.url}/hub/home"},
        ) as answer:
            body = await answer.json()
            assert answer.status == 201, body
        self.token = body["token"]
        # From here on the token speaks: the browser's cookies would hide a token that does not work.
        self.session.cookie_jar.clear()
        return self.token

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}

    async def api(self, method: str, path: str, **kwargs) -> tuple[int, dict]:
        async with self.session.request(
            method, f"{self.url}/hub/api{path}", headers=self.headers, **kwargs
        ) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else {}

    async def spawn(self, options: dict, *, timeout: float = SPAWN_TIMEOUT) -> list[str]:
        """Starts the server and returns the progress messages; AssertionError with the last one if it fails."""
        timeouts = aiohttp.ClientTimeout(total=timeout)
        asked = asyncio.create_task(
            self.api("POST", f"/users/{self.user}/server", json=options, timeout=timeouts), name="spawn"
        )
        messages: list[str] = []
        try:
            async with asyncio.timeout(timeout):
                # The hub answers when the server is ready, or after some seconds: its progress is there before.
                while not messages and not asked.done():
                    messages = await self._follow()
                    await asyncio.sleep(0.05)
                status, body = await asked
                assert status in (201, 202), (status, body)
                return messages or await self._follow()
        finally:
            asked.cancel()

    async def _follow(self) -> list[str]:
        """The progress messages up to a ready server; none while no spawn is under way."""
        messages = []
        async for event in self.progress():
            messages.append(event.get("message", ""))
            if event.get("failed"):
                raise AssertionError(f"the spawn failed: {messages}")
            if event.get("ready"):
                return messages
        return []

    async def progress(self) -> AsyncIterator[dict]:
        url = f"{self.url}/hub/api/users/{self.user}/server/progress"
        timeout = aiohttp.ClientTimeout(total=SPAWN_TIMEOUT)
        async with self.session.get(url, headers=self.headers, timeout=timeout) as stream:
            async for line in stream.content:
                if line.startswith(b"data:"):
                    yield json.loads(line[5:])

    async def stop_server(self) -> None:
        status, body = await self.api("DELETE", f"/users/{self.user}/server")
        assert status in (202, 204, 404), (status, body)
        async with asyncio.timeout(120):
            while True:
                _, user = await self.api("GET", f"/users/{self.user}")
                if not user.get("servers"):
                    return
                await asyncio.sleep(0.2)

    async def server(self, method: str, path: str, **kwargs) -> tuple[int, dict | str]:
        """A request to the user's notebook server."""
        url = f"{self.url}/user/{self.user}{path}"
        async with self.session.request(method, url, headers=self.headers, **kwargs) as answer:
            text = await answer.text()
            with contextlib.suppress(ValueError):
                return answer.status, json.loads(text) if text else {}
            return answer.status, text

    @contextlib.asynccontextmanager
    async def kernel(self) -> AsyncIterator["Kernel"]:
        """A kernel of one's own."""
        status, model = await self.server("POST", "/api/kernels", json={})
        assert status == 201, model
        try:
            async with self.connected(model["id"]) as kernel:
                yield kernel
        finally:
            await self.server("DELETE", f"/api/kernels/{model['id']}")

    @contextlib.asynccontextmanager
    async def connected(self, kernel_id: str) -> AsyncIterator["Kernel"]:
        """A connection to a kernel that is there, as a page that is opened again makes it."""
        url = f"{self.url}/user/{self.user}/api/kernels/{kernel_id}/channels"
        async with self.session.ws_connect(
            url.replace("http", "ws", 1), headers=self.headers, max_msg_size=0
        ) as socket:
            yield Kernel(socket, kernel_id)


class CellFailed(AssertionError):
    """A cell raised: name, value and traceback."""


class Kernel:
    """A kernel behind the notebook server's websocket (Jupyter's messaging protocol 5, JSON)."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, kernel_id: str):
        self.id = kernel_id
        self._socket = socket
        self._session = uuid.uuid4().hex

    async def run(self, code: str, *, timeout: float = CELL_TIMEOUT) -> str:
        """Runs a cell and returns all text that it showed; raises CellFailed when the cell raised."""
        message_id = uuid.uuid4().hex
        header = {
            "msg_id": message_id,
            "msg_type": "execute_request",
            "username": "",
            "session": self._session,
            "version": "5.3",
        }
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        await self._socket.send_json(
            {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        )
        shown: list[str] = []
        failure = None
        async with asyncio.timeout(timeout):
            async for frame in self._socket:
                message = json.loads(frame.data)
                if message["parent_header"].get("msg_id") != message_id:
                    continue
                kind, content = message["msg_type"], message["content"]
                if kind == "stream":
                    shown.append(content["text"])
                elif kind in ("execute_result", "display_data", "update_display_data"):
                    shown.append(content["data"].get("text/plain", "") + "\n" + content["data"].get("text/html", ""))
                elif kind == "error":
                    failure = CellFailed(
                        f"{content['ename']}: {content['evalue']}\n" + "\n".join(content["traceback"])
                    )
                elif kind == "status" and content["execution_state"] == "idle":
                    break
            else:
                raise CellFailed(f"the kernel's connection ended before the cell did: {shown}")
        if failure:
            raise failure
        return "\n".join(shown)
