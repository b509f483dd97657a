"""Model endpoints from a notebook: deploy a SavedModel, ask it for predictions, delete it."""

import os
import time
from typing import Any, Dict, Iterator, List, Optional, Union

from . import display, values
from .connection import Unreachable, connect, quoted
from .errors import EndpointFailed, KfError, PredictFailed
from .watch import log_lines

POLL = 0.5
PREDICT_TIMEOUT = 330.0
VERSIONS_TIMEOUT = 10.0
TAIL = 20
# Failed this often in a row: it is not just a moment between two states.
FAILED_POLLS = 4


def deploy(
    name: str,
    path: "Union[str, os.PathLike[str]]",
    replace: bool = False,
    wait: bool = True,
    timeout: float = 600.0,
    replicas: Optional[int] = None,
    image: Optional[str] = None,
    cpu: Optional[str] = None,
    memory: Optional[str] = None,
    env: Optional[Dict[str, str]] = None,
) -> "Endpoint":
    """Serves the SavedModel in `path` at an endpoint, and shows its state until it answers.

    `path`, text or a Path, is a folder on the home volume with `saved_model.pb`, or with numbered versions of it
    (`1/saved_model.pb`). The newest version is served, also one that comes later. `replace` first deletes an endpoint
    of this name; `cpu` and `memory` (Kubernetes quantities) are for each of `replicas` (default 1); `timeout` in
    seconds. Raises KfError (nothing was created) or EndpointFailed (it does not become ready).
    """
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value is not None}
    limits = {"memory": memory} if memory is not None else {}
    options = {
        "name": name,
        "path": _absolute(path),
        "replicas": replicas,
        "image": image,
        "env": env,
        "resources": {"requests": requests, "limits": limits} if requests else None,
    }
    body = {key: value for key, value in options.items() if value is not None}
    endpoint = Endpoint(name)
    try:
        made = endpoint._connection.post("endpoints", body)
    except KfError as problem:
        if not replace or problem.reason != "NameInUse":
            raise
        endpoint.delete()
        made = endpoint._connection.post("endpoints", body)
    for warning in made.get("warnings", ()):
        print("Warning: " + warning)
    if wait:
        endpoint.wait(timeout)
    return endpoint


class Endpoint:
    """An endpoint by its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._connection = connect()
        self._path = "endpoints/" + quoted(name)

    def status(self) -> Dict[str, Any]:
        """The endpoint's state, message, replicas, number of ready replicas (`ready`), `url` and `versions`.

        `versions` is a list of dicts of version (a number), state (START, LOADING, AVAILABLE, UNLOADING or END) and
        message, the newest first, as one of the replicas tells them; empty while none answers.
        """
        view = self._view()
        view["versions"] = self._versions() if view["ready"] else []
        return view

    @property
    def state(self) -> str:
        """Pending, Progressing, Ready or Failed."""
        state: str = self._view()["state"]
        return state

    @property
    def url(self) -> str:
        """The model's address; append `:predict`. It requires a token: send `Authorization: token …`."""
        url: str = self._view()["url"]
        return url

    def wait(self, timeout: float = 600.0, quiet: bool = False) -> "Endpoint":
        """Shows the state until the endpoint answers. EndpointFailed has the cause if it does not become ready."""
        card = display.Card()
        deadline = time.monotonic() + timeout
        failed = 0
        while True:
            try:
                view = self._view()
            except Unreachable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL)
                continue
            failed = failed + 1 if view["state"] == "Failed" else 0
            late = time.monotonic() > deadline
            done = view["state"] == "Ready" or failed >= FAILED_POLLS or late
            if not quiet:
                card.show(display.endpoint_text(view), display.endpoint_html(view), last=done)
            if view["state"] == "Ready":
                return self
            if done:
                raise EndpointFailed(self._failure(view, timeout if late else None), reason=view["state"])
            time.sleep(POLL)

    def predict(self, instances: Any, signature_name: Optional[str] = None) -> Any:
        """The model's answer for `instances`, which say by their form how the inputs are given.

        - A list, array, tensor, or pandas frame or series: the rows of the model's one input. A frame is its table of
          numbers; `dict(frame)` gives each column to the input of its name.
        - A list of dicts: a row each, with its inputs by name.
        - A dict: whole inputs by name (columns).
        - A number, text, or bytes: the one input, without rows.

        An array, tensor or frame, also as a column, is answered with numpy arrays: one, or a dict of them if the
        signature has several outputs. Everything else is answered with plain values: for a list, a value a row, or a
        dict a row with several outputs; for a dict, the values of the one output, or a dict of outputs. Outputs that
        have no rows come whole. JSON knows no types: arrays are of int64, float64, bool, or objects (text, bytes).

        Bytes may be anywhere; outputs whose names end in `_bytes` come back as bytes. Raises PredictFailed.
        """
        try:
            answered = self._connection.post(
                self._path + "/predict",
                values.question(instances, signature_name),
                timeout=PREDICT_TIMEOUT,
                object_hook=values.from_json,
            )
        except KfError as problem:
            raise PredictFailed(str(problem), reason=problem.reason)
        return values.answer(answered, instances)

    def metadata(self) -> Dict[str, Any]:
        """The served version and its signatures, with the names, types and shapes of inputs and outputs.

        As TensorFlow Serving gives them: `{"model_spec": …, "metadata": {"signature_def": {"signature_def": …}}}`.
        """
        return self._connection.call("GET", self._path + "/metadata")

    def scale(self, replicas: int, wait: bool = True, timeout: float = 600.0) -> "Endpoint":
        """Changes the number of replicas (1 to 32); shows the state until all answer. `timeout` in seconds."""
        self._connection.post(self._path, {"replicas": replicas}, method="PATCH")
        return self.wait(timeout) if wait else self

    def lines(self, follow: bool = False) -> Iterator[Dict[str, Any]]:
        """The model servers' log as dicts with replica (the pod), time and line."""
        return log_lines(self._connection, self._path + "/logs", {}, follow)

    def logs(self, follow: bool = False) -> None:
        """Prints the log."""
        for item in self.lines(follow):
            print("[%s] %s" % (item["replica"], item["line"]))

    def delete(self, wait: bool = True) -> None:
        """Deletes the endpoint; returns when it is gone. No error if it is gone already."""
        self._connection.delete(self._path, wait)

    def __repr__(self) -> str:
        try:
            return display.endpoint_text(self.status())
        except KfError as problem:
            return "Endpoint %s: %s" % (self.name, problem)

    def _repr_html_(self) -> Optional[str]:
        try:
            return display.endpoint_html(self.status())
        except KfError:
            return None

    def _view(self) -> Dict[str, Any]:
        return self._connection.call("GET", self._path)

    def _versions(self) -> List[Dict[str, Any]]:
        try:
            answer = self._connection.call("GET", self._path + "/versions", timeout=VERSIONS_TIMEOUT)
        except KfError:  # its pods may have ended meanwhile
            return []
        versions = [
            {
                "version": int(one["version"]),
                "state": one["state"],
                "message": one.get("status", {}).get("error_message", ""),
            }
            for one in answer.get("model_version_status", ())
        ]
        return sorted(versions, key=lambda one: -one["version"])

    def _failure(self, view: Dict[str, Any], waited: Optional[float]) -> str:
        lead = "endpoint %s is %s" % (self.name, view["state"])
        if waited is not None:
            lead += " after %g seconds" % waited
        parts = ["%s: %s" % (lead, view.get("message") or "no cause is known")]
        try:
            parts.extend("    " + item["line"] for item in list(self.lines())[-TAIL:])
        except KfError:
            parts.append("    (its log cannot be read)")
        parts.append("It is kept for you to look at: Endpoint(%r).delete() deletes it." % self.name)
        return "\n".join(parts)


def _absolute(path: Any) -> Any:
    """The path as the server sees it. Addresses, and what is no path, stay as they are: the server refuses them."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        return path
    text = os.fsdecode(path)
    return os.path.abspath(os.path.expanduser(text)) if text and ":/" not in text else text


def list_endpoints() -> display.Listing:
    """The views of all endpoints; a notebook shows them as a table."""
    views = connect().call("GET", "endpoints")["items"]
    rows = [
        (view["name"], display.Markup(display.badge(view["state"])), view["ready"], view["url"], view["message"])
        for view in views
    ]
    return display.Listing(views, ("Name", "State", "Ready", "Model", ""), rows)
