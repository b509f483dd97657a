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


def no_servable(model: str, version: int | None) -> ServingError:
    """This version of this model, or its latest for None, is not loaded."""
    which = f"Latest({model})" if version is None else f"Specific({model}, {version})"
    return not_found(f"Servable not found for request: {which}")


def no_version(model: str, version: int | None) -> ServingError:
    """Nothing is known of this version of this model, or of any for None."""
    return not_found(f"Could not find {'any versions' if version is None else f'version {version}'} of model {model}")


def no_label(label: str) -> ServingError:
    """Versions have no labels here."""
    return invalid(f"Unrecognized servable version label: {label}")
