"""The model server's errors: a TensorFlow status code and a message, and the HTTP status that TF Serving gives it."""

_HTTP_STATUS = {
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "UNAUTHENTICATED": 401,
}


class ServingError(Exception):
    """A request or a model that cannot be served. `code` is a TensorFlow status code such as INVALID_ARGUMENT."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type["ServingError"], tuple[str, str]]:
        return ServingError, (self.code, self.message)

    @property
    def http_status(self) -> int:
        """The status that TF Serving's REST answers with; 500 for codes that name a fault of the server."""
        return _HTTP_STATUS.get(self.code, 500)


def invalid(message: str) -> ServingError:
    """The caller sent invalid input."""
    return ServingError("INVALID_ARGUMENT", message)


def not_found(message: str) -> ServingError:
    """There is no such model, version or signature."""
    return ServingError("NOT_FOUND", message)
