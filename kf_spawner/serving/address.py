"""Where the door serves an endpoint: the only module that makes or parses such an address. Pure.

A serving URL is a door's URL with `/serving`, such as `http://127.0.0.1:8000/serving`. An endpoint's path is
`/serving/NAMESPACE/NAME`, and its model is at `/v1/models/NAME` below that: TensorFlow Serving's REST API,
https://www.tensorflow.org/tfx/serving/api_rest.
"""

import re
from urllib.parse import quote

PREFIX = "/serving"
"""Every path of an endpoint begins with this and a slash."""

FORM = f"{PREFIX}/NAMESPACE/NAME/…"
"""The form of an endpoint's paths, for messages."""

# Nothing encoded, no empty or dotted segment: any other path belongs to no endpoint.
_PATH = re.compile(rf"{PREFIX}/(?P<namespace>[a-z0-9-]+)/(?P<name>[a-z0-9-]+)(?:[/?].*)?")


def serving_url(door_url: str) -> str:
    """The serving URL of a door's URL; empty for an empty one."""
    return door_url.rstrip("/") + PREFIX if door_url else ""


def host(hub_domain: str) -> str:
    """The host of all endpoints, where each user has a domain below the hub's: no user's name makes it, as JupyterHub
    puts `--` before the kind of what is not a user's."""
    return f"serving--service.{hub_domain}"


def path(namespace: str, name: str) -> str:
    """An endpoint's path without a slash at the end: `/serving/kf-admin/digits`."""
    return f"{PREFIX}/{namespace}/{name}"


def model_url(url: str, namespace: str, name: str) -> str:
    """The model's address below a serving URL: `…/serving/kf-admin/digits/v1/models/digits`."""
    quoted = quote(name, safe="")
    return f"{url.rstrip('/')}/{namespace}/{quoted}/v1/models/{quoted}"


def parse(requested: str) -> tuple[str, str] | None:
    """The namespace and name of a request's path (a query may follow); None for a path of no endpoint.

    Both have the characters of a label; whether they are valid names is for the caller to check.
    """
    matched = _PATH.fullmatch(requested)
    return (matched["namespace"], matched["name"]) if matched else None
