"""A refusal that says when to try again."""

import math

from tornado import web


class Later(web.HTTPError):
    """Refuses a request for some seconds, which the answer names in `Retry-After` (RFC 9110, 10.2.3).

    JupyterHub's error pages send an error's `headers`.
    """

    def __init__(self, status: int, message: str, *, seconds: float) -> None:
        super().__init__(status, message)
        self.headers = {"Retry-After": str(math.ceil(seconds))}
