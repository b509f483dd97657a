"""The errors of this room: IPython shows them without a traceback."""

from typing import List, Optional

RED, BOLD, PLAIN = "\x1b[31m", "\x1b[1m", "\x1b[0m"


class KfError(Exception):
    """Something cannot be done; the message says what is wrong and what to do.

    `field` is the wrong argument (None if it is none), `reason` one word for programs, `about` the name of the job or
    endpoint in question, where the server named one.
    """

    def __init__(self, message: str, field: Optional[str] = None, reason: str = "Error", about: str = "") -> None:
        super().__init__(message if not field or message.startswith(field) else "%s: %s" % (field, message))
        self.field = field
        self.reason = reason
        self.about = about

    def _render_traceback_(self, *_args: object) -> List[str]:
        """What IPython prints instead of a traceback."""
        return ["%s%s%s: %s" % (RED + BOLD, type(self).__name__, PLAIN, self)]


class TFJobFailed(KfError):
    """The job ended as Failed; the message names the replicas, their exit codes and their last lines."""


class TFJobDeleted(KfError):
    """The job was deleted before it ended."""


class EndpointFailed(KfError):
    """The endpoint does not become ready."""


class PredictFailed(KfError):
    """The model server refused a prediction, or did not answer."""
