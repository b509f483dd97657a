"""What a request can end with, as one exception.

The handlers answer it as JSON: {"reason", "message", "field"?, "name"?, "errors"?: [{"field", "message"}]}.
"""

import re
from collections.abc import Sequence

from kf_spawner.kube import ApiError, ConfigError, NotFound, Unauthorized, Unreachable

from .wire import ErrorBody


class RequestError(Exception):
    """A refusal for the caller: what is wrong and what to do.

    `status` is the HTTP code, `reason` one word, `field` where the fault is, if it is in one, `name` the object that
    is in the way. `errors` are all faults as (field, message), where several were found at once.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        field: str | None = None,
        name: str | None = None,
        errors: Sequence[tuple[str, str]] = (),
    ):
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.field = field
        self.name = name
        self.errors = list(errors)

    def body(self) -> ErrorBody:
        """The JSON answer."""
        answer: ErrorBody = {"reason": self.reason, "message": self.message}
        if self.field:
            answer["field"] = self.field
        if self.name:
            answer["name"] = self.name
        if self.errors:
            answer["errors"] = [{"field": field, "message": message} for field, message in self.errors]
        return answer


def from_cluster(error: ApiError | ConfigError) -> RequestError:
    """The refusal that stands for an answer (or none) of the Kubernetes API."""
    if isinstance(error, ConfigError):
        return RequestError(503, "NoCluster", f"no Kubernetes cluster is known here: {error}")
    if isinstance(error, Unreachable):
        return RequestError(
            503, "ClusterUnreachable", f"the Kubernetes API gives no answer; try again soon ({error.message})"
        )
    if isinstance(error, Unauthorized):
        return RequestError(
            503,
            "ClusterCredentials",
            f"the Kubernetes API does not accept this server's account: start it again ({error.message})",
        )
    if isinstance(error, NotFound) and not error.details.get("name"):
        return RequestError(
            503, "KindNotInstalled", "this cluster does not know TFJobs: an administrator applies tfjobs-crd.yaml"
        )
    return RequestError(error.status, error.reason, error.message, field=next(iter(fields_of(error)), None))


def may_pass(error: ApiError) -> bool:
    """Whether the same request may succeed in a while: no answer, too much to do, or storage away."""
    return isinstance(error, Unreachable) or error.status == 429 or error.status >= 500


def fields_of(error: ApiError) -> list[str]:
    """The paths of the fields that the API server found at fault, unknown ones included."""
    causes = error.details.get("causes") or []
    named = [cause["field"] for cause in causes if cause.get("field")]
    return named + re.findall(r'unknown field "([^"]+)"', error.message)
