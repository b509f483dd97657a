"""The door's own answers to a request to an endpoint: their JSON and headers. Pure; the hub and the door share it."""

import json
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from .names import DOOR_HEADER


class Refusal(NamedTuple):
    """An answer as it goes to the caller."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def refusal(status: int, reason: str, message: str, **headers: str) -> Refusal:
    """An answer that tells a program what was wrong and what to do.

    The body has the message twice: `error`, as TensorFlow Serving writes it and its clients read it, and `message`.
    `headers`: more of them, with `_` for `-`. The header `Kf-Door` tells it from an answer of the model server's.
    """
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    body = json.dumps({"error": message, "reason": reason, "message": message})
    return Refusal(status, {DOOR_HEADER: reason, "Content-Type": "application/json", **more}, body.encode())


_GRPC_STATUS = {400: 3, 401: 16, 403: 7, 404: 5, 502: 14, 503: 14}
"""gRPC's codes: INVALID_ARGUMENT, UNAUTHENTICATED, PERMISSION_DENIED, NOT_FOUND, UNAVAILABLE."""


def in_grpc(answer: Refusal) -> Refusal:
    """The same for a gRPC client: code and message are in headers, which count more than the HTTP status.

    https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
    """
    headers = {
        **{name: value for name, value in answer.headers.items() if name.lower() != "content-type"},
        "Content-Type": "application/grpc",
        "Grpc-Status": str(_GRPC_STATUS.get(answer.status, 2)),
        "Grpc-Message": quote(json.loads(answer.body)["message"], safe=" !\"#$&'()*+,/:;<=>?@[\\]^`{|}~"),
    }
    return Refusal(answer.status, headers, b"")


def no_token() -> Refusal:
    """For a caller without a token of the hub."""
    return unauthorized(
        "Send a token of the hub in the header 'Authorization: token …'; make one on the hub's page /hub/token."
    )


def unauthorized(message: str) -> Refusal:
    """For a caller whom the hub does not know."""
    return refusal(401, "Unauthorized", message, WWW_Authenticate='Bearer realm="kf-spawner"')
