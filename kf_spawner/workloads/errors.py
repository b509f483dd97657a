"""The one exception for a refused request.

The handlers answer it as JSON: {"reason", "message", "field"?, "name"?, "errors"?: [{"field", "message"}]}.
"""

import re
from collections.abc import Sequence
from itertools import islice

from kf_spawner.k8s import quota
from kf_spawner.kube import ApiError, ConfigError, NotFound, Unauthorized, Unreachable
from kf_spawner.wrong_input import MOST, FieldError, WrongInput

from .wire import ErrorBody

UNKNOWN = "is an unknown field: check its spelling and place"


class RequestError(Exception):
    """A refusal for the caller: what is wrong and what to do.

    `status` is the HTTP code, `reason` one word, `field` the wrong field, if there is one, `name` the object that is
    in the way. `errors` are all problems as (field, message), if several were found at once.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        field: str | None = None,
        name: str | None = None,
        errors: Sequence[FieldError] = (),
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
    """The refusal for an error of the Kubernetes API, or for no answer."""
    if isinstance(error, ConfigError):
        return RequestError(503, "NoCluster", f"no Kubernetes cluster is known here: {error}")
    if isinstance(error, Unreachable):
        return RequestError(
            503, "ClusterUnreachable", f"the Kubernetes API does not answer; try again soon ({error.message})"
        )
    if isinstance(error, Unauthorized):
        return RequestError(
            503,
            "ClusterCredentials",
            f"the Kubernetes API does not accept this server's account: restart the server ({error.message})",
        )
    if isinstance(error, NotFound) and not error.details.get("name"):
        return RequestError(
            503, "KindNotInstalled", "this cluster has no kind TFJob: ask an administrator to apply tfjobs-crd.yaml"
        )
    return RequestError(error.status, error.reason, quota.in_words(error.message), field=field_errors(error)[0].field)


def may_pass(error: ApiError) -> bool:
    """Whether the same request may succeed later: no answer came, or the API server is busy or without storage."""
    return isinstance(error, Unreachable) or error.status == 429 or error.status >= 500


def wrong_input(error: WrongInput, *, status: int = 400, reason: str = "Invalid") -> RequestError:
    """The refusal of wrong input: `field` is the first wrong field, `errors` has all problems."""
    field = next((one.field for one in error.errors if one.field), None)
    return RequestError(status, reason, str(error), field=field, errors=error.errors)


def field_errors(error: ApiError) -> list[FieldError]:
    """The problems that the API server names, each field as a path of the object that was sent."""
    causes = (error.details.get("causes") or [])[:MOST]
    # The API server names the field <nil> for what it could not check.
    named = [
        FieldError(cause["field"], cause.get("message") or error.message)
        for cause in causes
        if cause.get("field") not in (None, "", "<nil>")
    ]
    return [*named, *unknown_fields(error)] or [FieldError("", error.message)]


def unknown_fields(error: ApiError) -> list[FieldError]:
    """The fields that the API server does not know. Only its message has their paths."""
    paths = re.findall(r'unknown field "([^"]+)"', error.message)
    return [FieldError(path, UNKNOWN) for path in islice(dict.fromkeys(paths), MOST)]


def is_unknown(error: FieldError) -> bool:
    return error.message == UNKNOWN
