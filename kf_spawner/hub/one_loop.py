"""Settings of the hub's process that keep its one event loop free for all users."""

import gc

from tornado.httpserver import HTTPServer

MAX_BODY = 256 * 1024
"""Bytes of a request's body. JupyterHub reads a body as JSON at once, and would take 100 MiB."""


def keep_loop_free() -> None:
    """Call it before the hub makes its server, when its modules are there.

    A larger body is answered with 400, and the connection is closed. A search for garbage does not walk what the
    start has left: it would hold the loop for more than a tenth of a second.
    """
    HTTPServer.configure(None, max_body_size=MAX_BODY)
    gc.collect()
    gc.freeze()
