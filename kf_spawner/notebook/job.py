"""TFJob: a distributed TensorFlow job as an object of the notebook."""

import time
from collections import deque
from typing import Any, Callable, Deque, Dict, Iterator, List, Optional

from . import display, program
from .connection import connect, quoted
from .errors import KfError, TFJobDeleted, TFJobFailed
from .watch import JobWatch, log_lines

TAIL = 20  # lines of a failed replica's log that the error shows
REPLICA_TYPES = ("chief", "master", "worker", "ps", "evaluator")


class TFJob:
    """A job: made here with a program and options, or found by its name with `TFJob.get`.

    Options: chief, master, worker, ps, evaluator (numbers of replicas; without any of them one worker); image
    (default: the notebook's); cpu and memory (Kubernetes quantities) and gpu (count) of each replica; env (names to
    texts); args (texts after the program's name); restart_policy (Never, OnFailure, Always, ExitCode); home=False
    for replicas without the home volume; working_dir; deadline (seconds after which the job is stopped); run_policy
    (a dict, as spec.runPolicy of a TFJob).
    """

    def __init__(self, name: str, program: Optional[str] = None, **options: Any) -> None:
        self.name = name
        self._connection = connect()
        self._manifest: Optional[str] = None
        self._options = _body(name, program, options) if program is not None else None

    @classmethod
    def get(cls, name: str) -> "TFJob":
        """An existing job. KfError if there is none."""
        job = cls(name)
        job.status()
        return job

    @classmethod
    def from_function(
        cls,
        function: Callable[..., Any],
        name: Optional[str] = None,
        args: Any = (),
        kwargs: Optional[Dict[str, Any]] = None,
        **options: Any,
    ) -> "TFJob":
        """A job whose replicas call `function(*args, **kwargs)`; the function contains its imports."""
        source = program.from_function(function, args, kwargs)
        return cls(name or function.__name__.replace("_", "-").lower(), source, **options)

    @classmethod
    def from_script(cls, path: str, name: str, **options: Any) -> "TFJob":
        """A job that runs a Python file of the notebook's."""
        return cls(name, program.from_script(path), **options)

    @classmethod
    def from_notebook(cls, path: str, name: str, **options: Any) -> "TFJob":
        """A job that runs the code cells of a notebook file from top to bottom."""
        return cls(name, program.from_notebook(path), **options)

    @classmethod
    def from_manifest(cls, manifest: str) -> "TFJob":
        """A job from the YAML text of a TFJob, or from the path of such a file; its name is in the manifest."""
        text = manifest if isinstance(manifest, str) and "\n" in manifest else program._read(manifest)
        job = cls("")
        job._manifest = text
        return job

    def submit(self, replace: bool = False) -> "TFJob":
        """Creates the job. `replace` first deletes a job of this name."""
        if self._manifest is None and self._options is None:
            raise KfError(
                "has no program: it was made elsewhere, and can only be followed or deleted", field="program"
            )
        try:
            self._post()
        except KfError as problem:
            if not replace or problem.reason != "NameInUse":
                raise
            TFJob(self.name or problem.about).delete()
            self._post()
        return self

    def status(self) -> Dict[str, Any]:
        """The job's state, reason, message, replicas and the `manifest` as the cluster has it."""
        return self._connection.call("GET", "tfjobs/" + quoted(self.name))

    @property
    def state(self) -> str:
        """Pending, Created, Running, Restarting, Suspended, Succeeded or Failed."""
        state: str = self.status()["state"]
        return state

    def events(self) -> List[Dict[str, Any]]:
        """The Kubernetes events of the job and its replicas, oldest first."""
        items: List[Dict[str, Any]] = self._connection.call("GET", "tfjobs/%s/events" % quoted(self.name))["items"]
        return items

    def lines(self, replica: Optional[str] = None, follow: bool = False) -> Iterator[Dict[str, Any]]:
        """The log as dicts with replica, time and line; of all replicas, or of one such as `worker-0`.

        With `follow` until the job has ended, also if a connection breaks.
        """
        query = {} if replica is None else {"replica": str(replica)}
        return log_lines(self._connection, "tfjobs/%s/logs" % quoted(self.name), query, follow)

    def logs(self, replica: Optional[str] = None, follow: bool = False) -> None:
        """Prints the log."""
        for item in self.lines(replica, follow):
            print("[%s] %s" % (item["replica"], item["line"]))

    def wait(self, timeout: Optional[float] = None, quiet: bool = False) -> "TFJob":
        """Shows state and logs as they happen, until the job has ended. TFJobFailed if it failed.

        An interrupt ends the display, not the job. `timeout` in seconds, then TimeoutError; `quiet` shows nothing.
        """
        shown = _JobDisplay(quiet)
        deadline = None if timeout is None else time.monotonic() + timeout
        with JobWatch(self._connection, self.name) as watch:
            while shown.end is None:
                shown.take(watch.take())
                if deadline is not None and shown.end is None and time.monotonic() > deadline:
                    raise TimeoutError("TFJob %s has not ended within %g seconds" % (self.name, timeout or 0))
        shown.judge()
        return self

    def delete(self, wait: bool = True) -> None:
        """Deletes the job and its replicas; returns when they are gone. No error if it is gone already."""
        self._connection.delete("tfjobs/" + quoted(self.name), wait)

    def __repr__(self) -> str:
        try:
            return display.job_text(self.status())
        except KfError as problem:
            return "TFJob %s: %s" % (self.name, problem)

    def _repr_html_(self) -> Optional[str]:
        try:
            return display.job_html(self.status())
        except KfError:
            return None

    def _post(self) -> None:
        if self._manifest is not None:
            body = self._manifest.encode("utf-8")
            view = self._connection.call("POST", "tfjobs", body, content_type="application/yaml")
        else:
            view = self._connection.post("tfjobs", {"program": self._options})
        self.name = view["name"]


class _JobDisplay:
    """Shows the items of a job's watch, and keeps what an error message will need."""

    def __init__(self, quiet: bool) -> None:
        self.end: Optional[Dict[str, Any]] = None
        self._quiet = quiet
        self._card = display.Card()
        self._view: Optional[Dict[str, Any]] = None
        self._warning: Optional[str] = None
        self._tails: Dict[str, Deque[str]] = {}

    def take(self, items: List[Dict[str, Any]]) -> None:
        lines = []
        for item in items:
            if item["type"] == "log":
                tail = self._tails.setdefault(item["replica"], deque(maxlen=TAIL))
                tail.append(item["line"])
                lines.append("[%s] %s" % (item["replica"], item["line"]))
            elif item["type"] == "event" and item["level"] == "Warning":
                self._warning = "%s: %s" % (item["object"], item["message"])
            elif item["type"] in ("status", "end"):
                self._view = item
                if item["type"] == "end":
                    self.end = item
        if lines and not self._quiet:
            print("\n".join(display.paced(lines)), flush=True)
        if self._view is not None and not self._quiet:
            # A warning helps while something waits; once replicas run, it is outdated.
            pending = self._view["state"] in ("Pending", "Created", "Restarting")
            markup = display.job_html(self._view, self._warning if pending else None)
            self._card.show(display.job_text(self._view), markup, last=self.end is not None)

    def judge(self) -> None:
        """Raises an error if the job did not succeed."""
        assert self.end is not None
        name, state = self.end["name"], self.end["state"]
        if state == "Deleted":
            raise TFJobDeleted("TFJob %s was deleted before it ended" % name, reason="Deleted")
        if state == "Failed":
            raise TFJobFailed(self._failure(), reason=self.end.get("reason") or "Failed")
        if not self._quiet and display.in_kernel():  # the card is far above by now
            print("TFJob %s: %s" % (name, state))

    def _failure(self) -> str:
        assert self.end is not None
        parts = [self.end.get("message") or "TFJob %s has failed." % self.end["name"]]
        for replica in self.end["replicas"]:
            if replica["state"] != "Failed":
                continue
            parts.append(display.replica_text(replica))
            tail = self._tails.get(replica["replica"])
            if tail:
                parts.extend("    " + line for line in tail)
        return "\n".join(parts)


def list_tfjobs() -> display.Listing:
    """The views of all jobs, the newest first; a notebook shows them as a table."""
    views = connect().call("GET", "tfjobs")["items"]
    rows = [
        (
            view["name"],
            display.Markup(display.badge(view["state"])),
            ", ".join("%s %d" % pair for pair in sorted(view["wanted"].items())),
            view["created"],
            view["message"],
        )
        for view in views
    ]
    return display.Listing(views, ("Name", "State", "Replicas", "Created", ""), rows)


def _body(name: str, source: str, options: Dict[str, Any]) -> Dict[str, Any]:
    """The options as the REST interface takes them; the server decides what is None."""
    rest = dict(options)
    body: Dict[str, Any] = {"name": name, "program": source}
    counts = {kind: rest.pop(kind) for kind in REPLICA_TYPES if rest.get(kind) is not None}
    if counts:
        body["replicas"] = {kind: int(count) if isinstance(count, bool) else count for kind, count in counts.items()}
    resources = {kind: rest.pop(kind) for kind in ("cpu", "memory", "gpu") if rest.get(kind) is not None}
    if resources:
        body["resources"] = resources
    if rest.pop("home", True) is False:
        body["home_claim"] = None
    policy = rest.pop("run_policy", None) or {}
    if not isinstance(policy, dict):
        raise KfError("must be a dict, as spec.runPolicy of a TFJob", field="run_policy")
    deadline = rest.pop("deadline", None)
    if deadline is not None:
        policy = dict(policy, activeDeadlineSeconds=deadline)
    if policy:
        body["run_policy"] = policy
    body.update((key, value) for key, value in rest.items() if value is not None and key not in REPLICA_TYPES)
    return body
