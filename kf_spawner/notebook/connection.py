"""A kernel's connection to its own notebook server's REST interface: address, token, requests, streams of lines."""

import errno
import json
import os
import socket
import sys
import time
from typing import Any, Callable, Dict, Iterator, List, Optional
from urllib import error as urlerror
from urllib import parse, request

from .errors import KfError
from .values import jsonable

API = "kf/api/v1/"
TIMEOUT = 90.0
DELETE_TIMEOUT = 120.0
POLL = 0.5
STREAM_TIMEOUT = 60.0  # the server sends something at least every 15 seconds
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}

# A kernel's requests go to its own machine: the environment's proxies do not apply.
_opener = request.build_opener(request.ProxyHandler({}))


class Unreachable(KfError):
    """The notebook server, or the cluster behind it, does not answer now; it may later."""


class Connection:
    """One notebook server: `url` ends with a slash and with the server's prefix."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._token = token

    def call(
        self,
        method: str,
        path: str,
        body: Optional[bytes] = None,
        content_type: str = "application/json",
        timeout: float = TIMEOUT,
        object_hook: Optional[Callable[[Dict[str, Any]], Any]] = None,
    ) -> Dict[str, Any]:
        """The server's JSON answer; `object_hook` as in `json.loads`. KfError if it refuses or does not answer."""
        with self._open(method, path, body, content_type, timeout) as response:
            try:
                answer: Dict[str, Any] = json.loads(response.read().decode("utf-8"), object_hook=object_hook)
                return answer
            except (OSError, ValueError) as problem:
                raise Unreachable("the notebook server's answer broke off (%s): try again" % problem)

    def post(self, path: str, value: Any, method: str = "POST", **options: Any) -> Dict[str, Any]:
        """`call` with a JSON body and `options`; takes what `values.jsonable` takes."""
        try:
            body = json.dumps(value, default=jsonable).encode("utf-8")
        except (TypeError, ValueError) as problem:
            raise KfError("cannot be sent as JSON: %s" % problem, reason="BadRequest")
        return self.call(method, path, body, **options)

    def stream(self, path: str) -> Iterator[Dict[str, Any]]:
        """The items of a stream, until the server ends it. Unreachable when it breaks off."""
        with self._open("GET", path, None, "application/json", STREAM_TIMEOUT) as response:
            while True:
                try:
                    line = response.readline()
                except (OSError, ValueError) as problem:
                    raise Unreachable("the stream broke off: %s" % problem)
                if not line:
                    return
                if not line.endswith(b"\n"):
                    raise Unreachable("the stream broke off")
                yield json.loads(line.decode("utf-8"))

    def delete(self, path: str, wait: bool) -> None:
        """Deletes the object at `path`, and with `wait` waits until it is gone. No error if it is gone already."""
        deadline = time.monotonic() + DELETE_TIMEOUT
        method = "DELETE"
        while True:
            try:
                self.call(method, path)
                method = "GET"
            except Unreachable:
                if time.monotonic() > deadline:
                    raise
            except KfError as problem:
                if problem.reason != "NotFound":
                    raise
                return
            if not wait and method == "GET":
                return
            if time.monotonic() > deadline:
                raise KfError("%s is still being deleted: its pods take long to stop" % path)
            time.sleep(POLL)

    def _open(self, method: str, path: str, body: Optional[bytes], content_type: str, timeout: float) -> Any:
        headers = {"Authorization": "token " + self._token, "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content_type
        asked = request.Request(self.url + API + path, data=body, headers=headers, method=method)  # noqa: S310
        try:
            return _opener.open(asked, timeout=timeout)
        except urlerror.HTTPError as problem:
            with problem:
                raise _error_of(problem.code, problem.read())
        except (urlerror.URLError, socket.timeout, OSError) as problem:
            reason = getattr(problem, "reason", problem)
            raise Unreachable("the notebook server at %s does not answer (%s)" % (self.url, reason))


def connect() -> Connection:
    """The server that started this kernel."""
    environ = os.environ
    token = environ.get("JUPYTERHUB_API_TOKEN")
    prefix = environ.get("JUPYTERHUB_SERVICE_PREFIX")
    if token and prefix:
        service = parse.urlsplit(environ.get("JUPYTERHUB_SERVICE_URL") or "http://127.0.0.1:8888")
        host = ANY_ADDRESS.get(service.hostname or "", service.hostname or "")
        root = "%s://%s:%d/" % (service.scheme, host, service.port or 8888)
        return Connection(parse.urljoin(root, prefix.rstrip("/") + "/"), token)
    for folder in _runtime_folders():
        path = os.path.join(folder, "jpserver-%s.json" % environ.get("JPY_PARENT_PID", ""))
        try:
            with open(path, encoding="utf-8") as file:
                server = json.load(file)
            return Connection(server["url"], server.get("token") or "")
        except OSError as problem:
            if problem.errno != errno.ENOENT:
                raise KfError("%s cannot be read: %s" % (path, problem))
    raise KfError(
        "this kernel was not started by a Jupyter server that could be found: open the notebook in JupyterLab",
        reason="NoServer",
    )


def quoted(name: str) -> str:
    """A name as a part of a path."""
    return parse.quote(str(name), safe="", errors="replace")


def _runtime_folders() -> List[str]:
    """Folders in which Jupyter servers write their addresses (see Jupyter's documentation of its paths)."""
    home = os.path.expanduser("~")
    folders = [os.environ.get("JUPYTER_RUNTIME_DIR")]
    if os.environ.get("JUPYTER_DATA_DIR"):
        folders.append(os.path.join(os.environ["JUPYTER_DATA_DIR"], "runtime"))
    if sys.platform == "darwin":
        folders.append(os.path.join(home, "Library", "Jupyter", "runtime"))
    data = os.environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    folders.append(os.path.join(data, "jupyter", "runtime"))
    return [folder for folder in folders if folder]


def _error_of(status: int, body: bytes) -> KfError:
    """The error in an answer: `reason` and `message` of the extension or the door, or the model server's `error`."""
    try:
        answer = json.loads(body.decode("utf-8"))
    except ValueError:
        answer = {}
    if not isinstance(answer, dict):
        answer = {}
    reason = answer.get("reason")
    message = (answer.get("message") if reason else None) or answer.get("error")
    if status == 404 and not message:  # Jupyter's own answer for an address that it does not know
        message = "this server has no TFJobs and endpoints: the extension kf_spawner.extension is not enabled in it"
    message = message or answer.get("message") or "the server answered %d" % status
    kind = Unreachable if status in (502, 503, 504) else KfError
    reason = reason or "HTTP%d" % status
    return kind(message, field=answer.get("field"), reason=reason, about=answer.get("name") or "")
