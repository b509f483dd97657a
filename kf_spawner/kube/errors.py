"""What the Kubernetes API can answer instead of an object, as exceptions."""

from typing import Any


class ConfigError(Exception):
    """No usable configuration of a cluster; the message names the file or variable and what to do."""


class ApiError(Exception):
    """The API server's answer with a status of 400 or more.

    Attributes follow a `Status` object (Kubernetes API conventions): `status` is the HTTP code, `reason` one
    word such as `Forbidden`, `message` a sentence, `details` the rest of what the server knows.
    """

    def __init__(self, status: int, reason: str, message: str, details: dict[str, Any] | None = None):
        super().__init__(f"{message} ({status} {reason})")
        self.status = status
        self.reason = reason
        self.message = message
        self.details = details or {}


class NotFound(ApiError):
    """404."""


class AlreadyExists(ApiError):
    """409 with reason AlreadyExists."""


class Conflict(ApiError):
    """409: the object has changed, or a precondition is not met."""


class Unauthorized(ApiError):
    """401: the API server does not accept the credentials. A token has expired, or its account is gone."""


class Forbidden(ApiError):
    """403, a quota or an admission plugin's refusal included."""


class Invalid(ApiError):
    """400 or 422: the object is not valid; `details["causes"]` names the fields."""


class Gone(ApiError):
    """410: the resourceVersion is too old; list again."""


class Unreachable(ApiError):
    """No answer: the connection failed, broke off or timed out (status 0)."""

    def __init__(self, message: str):
        super().__init__(0, "Unreachable", message)


_BY_STATUS: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
}


def from_status(code: int, body: dict[str, Any]) -> ApiError:
    """The exception for a `Status` body (or any other body) that came with HTTP status `code`."""
    reason = body.get("reason") or f"HTTP{code}"
    message = body.get("message") or f"the API server answered {code}"
    kind = _BY_STATUS.get(code, ApiError)
    if reason == "AlreadyExists":
        kind = AlreadyExists
    elif reason == "Expired":
        kind = Gone
    return kind(code, reason, message, body.get("details"))
