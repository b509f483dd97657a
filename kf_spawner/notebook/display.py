"""What a cell shows while it waits: one card that is updated in place, and lines of logs below it.

Plain display messages, no widgets: the same in JupyterLab, in a run without a browser, and in a terminal as text.
"""

import html
import sys
import time
from typing import Any, Dict, List, Optional, Sequence

UPDATE_EVERY = 0.5  # seconds between two updates of a card
PRINT_LIMIT = 100000  # characters printed at once, every watch.PACE seconds at most
COLOURS = {
    "Succeeded": "#2e7d32",
    "Ready": "#2e7d32",
    "Running": "#1565c0",
    "Failed": "#c62828",
    "Deleted": "#616161",
}
OTHER_COLOUR = "#ef6c00"
VERSION_STATES = {
    "START": "waits to be loaded",
    "LOADING": "is being loaded",
    "AVAILABLE": "is served",
    "UNLOADING": "is being unloaded",
    "END": "is not served",
}


class Card:
    """A display that changes in place. Updates that come too fast are left out, but never the last."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._shown = ""
        self._at = 0.0

    def show(self, text: str, markup: str, last: bool = False) -> None:
        """Shows `markup`, or `text` where there is no HTML. `last`: now, whatever was shown just before."""
        now = time.monotonic()
        if markup == self._shown or (not last and now - self._at < UPDATE_EVERY):
            return
        first_line = text.split("\n")[0]
        if not in_kernel():
            if first_line != self._shown:
                print(first_line)
            self._shown, self._at = first_line, now
            return
        from IPython.display import display

        data = {"text/plain": text, "text/html": markup}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(data, raw=True)
        self._shown, self._at = markup, now


def paced(lines: List[str]) -> List[str]:
    """The last of `lines`, no more than a browser takes at once (Jupyter drops what comes faster than 1 MB/s)."""
    size = kept = 0
    for line in reversed(lines):
        size += len(line) + 1
        if size > PRINT_LIMIT and kept:
            break
        kept += 1
    if kept == len(lines):
        return lines
    left_out = "... %d lines left out here: TFJob.logs() prints all" % (len(lines) - kept)
    return [left_out] + lines[len(lines) - kept :]


def in_kernel() -> bool:
    """Whether there is a kernel that shows display messages."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    shell = get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None


def badge(state: str) -> str:
    """A state in its colour."""
    colour = COLOURS.get(state, OTHER_COLOUR)
    return '<b style="color:%s">%s</b>' % (colour, html.escape(state))


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """An HTML table; a cell is escaped unless it is `Markup`."""
    cells = "".join('<th style="text-align:left">%s</th>' % html.escape(name) for name in head)
    lines = ["<tr>%s</tr>" % cells]
    for row in rows:
        lines.append("<tr>%s</tr>" % "".join('<td style="text-align:left">%s</td>' % _cell(value) for value in row))
    return "<table>%s</table>" % "".join(lines)


class Markup(str):
    """Text that is HTML already."""


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, Markup) else html.escape(str(value))


def job_text(view: Dict[str, Any]) -> str:
    """A job in a few lines."""
    lines = ["TFJob %s: %s%s" % (view["name"], view["state"], _because(view))]
    lines.extend("  %s" % replica_text(replica) for replica in view.get("replicas") or [])
    return "\n".join(lines)


def replica_text(replica: Dict[str, Any]) -> str:
    text = "%s %s" % (replica["replica"], replica["state"])
    if replica.get("reason"):
        text += " (%s)" % replica["reason"]
    if replica.get("exit_code"):
        text += ", exit code %s" % replica["exit_code"]
    if replica.get("restarts"):
        text += ", restarts %s" % replica["restarts"]
    if replica.get("message"):
        text += ": " + replica["message"]
    return text


def job_html(view: Dict[str, Any], warning: Optional[str] = None) -> str:
    """A job's state, and its replicas in a table."""
    wanted = sum((view.get("wanted") or {}).values())
    running = sum(1 for one in view.get("replicas") or [] if one["state"] == "Running")
    parts = ["TFJob <b>%s</b>: %s" % (html.escape(view["name"]), badge(view["state"]))]
    if view["state"] not in ("Succeeded", "Failed", "Deleted"):
        parts.append(" &middot; %d of %d replicas run" % (running, wanted))
    if view.get("message"):
        parts.append("<br><small>%s</small>" % html.escape(view["message"]))
    if warning:
        parts.append("<br><small>%s</small>" % html.escape(warning))
    rows = [
        (
            one["replica"],
            Markup(badge(one["state"])),
            one.get("reason") or "",
            one.get("exit_code"),
            one.get("restarts") or "",
            one.get("message") or "",
        )
        for one in view.get("replicas") or []
    ]
    if rows:
        parts.append(table(("Replica", "State", "Reason", "Exit code", "Restarts", ""), rows))
    return "".join(parts)


def endpoint_text(view: Dict[str, Any]) -> str:
    lines = ["Endpoint %s: %s%s" % (view["name"], view["state"], _because(view))]
    return "\n".join(lines + ["  " + line for line in version_lines(view)])


def endpoint_html(view: Dict[str, Any]) -> str:
    parts = ["Endpoint <b>%s</b>: %s" % (html.escape(view["name"]), badge(view["state"]))]
    if view.get("message"):
        parts.append("<br><small>%s</small>" % html.escape(view["message"]))
    if view.get("url"):
        parts.append("<br><small><code>%s:predict</code></small>" % html.escape(view["url"]))
    parts.extend("<br><small>%s</small>" % html.escape(line) for line in version_lines(view))
    return "".join(parts)


def version_lines(view: Dict[str, Any]) -> List[str]:
    """What is known of an endpoint's versions; those that were unloaded in good order are left out."""
    return [
        "version %d %s" % (one["version"], VERSION_STATES.get(one["state"], one["state"])) + _because(one)
        for one in view.get("versions") or []
        if one["state"] != "END" or one["message"]
    ]


def _because(view: Dict[str, Any]) -> str:
    return " - " + view["message"] if view.get("message") else ""


class Listing(List[Any]):
    """A list that a notebook shows as a table."""

    def __init__(self, items: Sequence[Any], head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        super().__init__(items)
        self._head, self._rows = head, rows

    def _repr_html_(self) -> str:
        return table(self._head, self._rows) if self._rows else "<i>none</i>"
