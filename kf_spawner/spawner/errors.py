"""A failed spawn as JupyterHub shows it: in a log line, in JSON, on a page."""

import re

from jupyterhub.spawner import SpawnException
from markupsafe import Markup, escape

from kf_spawner.kube import ApiError, Unauthorized, Unreachable
from kf_spawner.wrong_input import WrongInput

from .diagnosis import Cause, Diagnosis, of_refusal

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class SpawnFailed(SpawnException):  # type: ignore[misc] # JupyterHub has no types
    """A server was not started, and why. The hub counts it as a failure of this spawn, not of the hub."""

    def __init__(self, message: str, *, reason: str, html: str, status_code: int):
        super().__init__(message, reason=reason, message_html=html, status_code=status_code)
        self.jupyterhub_message = message
        self.jupyterhub_html_message = html


def refused(error: WrongInput) -> SpawnFailed:
    """For options that cannot be used: nothing was made."""
    items = Markup("").join(Markup("<li>{}</li>").format(str(one)) for one in error.errors)
    html = Markup("The server was not started:<ul class='mb-0'>{}</ul>").format(items)
    return SpawnFailed(str(error), reason="options", html=str(html), status_code=400)


def failed(diagnosis: Diagnosis, *, log_tail: str = "") -> SpawnFailed:
    """For a server that did not come up: its cause, the remedy, what Kubernetes said and the end of the log."""
    tail = _ESCAPES.sub("", log_tail).strip()
    lines = [diagnosis.message, diagnosis.remedy]
    html = Markup("<b>{}</b> {}").format(diagnosis.message, diagnosis.remedy)
    if diagnosis.detail:
        lines.append(f"Kubernetes says: {diagnosis.detail}")
        html += Markup("<br><small class='text-break'>Kubernetes says: {}</small>").format(diagnosis.detail)
    if tail:
        lines.append(f"The end of the log:\n{tail}")
        html += Markup("<pre class='kf-log text-start mt-2'>{}</pre>").format(escape(tail))
    return SpawnFailed(" ".join(lines), reason=diagnosis.cause.value, html=str(html), status_code=424)


def of_cluster(error: ApiError) -> Diagnosis:
    """What an error of the Kubernetes API means for a start."""
    if isinstance(error, Unreachable):
        return Diagnosis(Cause.REFUSED, "Kubernetes does not answer.", "Try again in a moment.", error.message)
    if isinstance(error, Unauthorized):
        return Diagnosis(
            Cause.REFUSED,
            "Kubernetes does not accept the hub's own account.",
            "Ask an administrator to restart the hub. Running servers are not affected.",
            error.message,
        )
    return of_refusal("what the server needs", error.message)
