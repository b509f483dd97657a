"""Settings of the hub's process that keep its one event loop free for all users."""

import gc

from tornado.httpserver import HTTPServer

from .limits import MAX_BODY


def keep_loop_free() -> None:
    """Call it before the hub makes its server, when its modules are there.

    The proxy refuses a body of more than MAX_BODY with 413; whoever asks the hub without it gets 400. A search for
    garbage does not walk what the start has left: it would hold the loop for more than a tenth of a second.
    """
    HTTPServer.configure(None, max_body_size=MAX_BODY)
    gc.collect()
    gc.freeze()
