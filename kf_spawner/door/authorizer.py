"""The loopback HTTP server that Traefik asks about each request to an endpoint.

It says who may pass from what the hub has said (`decisions`), and answers what needs no hub: a request without a
token, a path of no endpoint, an endpoint without a ready pod. It holds no secret, and tells nobody more than the hub
would.

Traefik asks with the caller's `Authorization` header and, of a gRPC call, `Content-Type` and `Kf-Endpoint`, at

- `/NAMESPACE/NAME`: may the caller use this endpoint? 200, or the hub's 401 or 403;
- `/NAMESPACE/NAME/unready`: the same for an endpoint without a ready pod: 503 in place of 200;
- `/`: for a path below `/serving/` that no endpoint has, in `X-Forwarded-Uri`, or a gRPC call to none: 400, 401, 403
  or 404;
- `/starting`: for each path below `/serving/` until endpoints are known: 503;
- `/unanswered`: for a request that no pod has answered: the text of Traefik's 502.

The address comes from the route that matched, so no spelling of the caller's path changes the question, and what has
no route yet is never said not to exist.
"""

from aiohttp import web

from kf_spawner.naming import is_label
from kf_spawner.serving import ENDPOINT_HEADER, address
from kf_spawner.serving.refusals import Refusal, in_grpc, no_token, refusal

from .decisions import Decisions, HubAway

LOOPBACK = "127.0.0.1"
LONGEST_HEADER = 2**16
"""Bytes, as the hub takes."""

BAD_PATH = refusal(400, "BadRequest", f"This path is not {address.FORM}")
NO_ENDPOINT = refusal(
    400, "BadRequest", f"Say which endpoint in the call's metadata: {ENDPOINT_HEADER.lower()}: NAMESPACE/NAME"
)
NOT_FOUND = refusal(
    404, "NotFound", "This endpoint does not exist, or its route is not ready yet: check the endpoint's status."
)
NOT_READY = refusal(
    503, "EndpointNotReady", "The endpoint has no ready pod: check the endpoint's status.", Retry_After="2"
)
STARTING = refusal(
    503,
    "DoorStarting",
    "The door has just started and does not know the endpoints yet. Try again in some seconds.",
    Retry_After="2",
)
UNANSWERED = refusal(
    502,
    "EndpointUnanswered",
    "No pod of the endpoint took this request, or the one that did ended before it answered. Check the endpoint's "
    "status, and try again in some seconds.",
    Retry_After="2",
)
WITHOUT_QUESTION = {"/starting": STARTING, "/unanswered": UNANSWERED}
HUB_AWAY = refusal(
    503,
    "HubAway",
    "The hub does not answer, so this token cannot be checked. Try again in some seconds.",
    Retry_After="2",
)


def _is_grpc(request: web.BaseRequest) -> bool:
    return request.headers.get("Content-Type", "").startswith("application/grpc")


def _wanted(request: web.BaseRequest) -> tuple[str, str]:
    """The namespace and name that the caller wrote; empty ones if it is no endpoint's."""
    if _is_grpc(request):
        namespace, _, name = request.headers.get(ENDPOINT_HEADER, "").partition("/")
        return namespace, name
    return address.parse(request.headers.get("X-Forwarded-Uri", "")) or ("", "")


class Authorizer:
    """Use as an async context manager."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions
        # Without routes and middlewares of an application: this is in the way of every prediction.
        self._runner = web.ServerRunner(
            web.Server(self._handle, access_log=None, max_field_size=LONGEST_HEADER, keepalive_timeout=90.0),
            shutdown_timeout=1.0,
        )

    async def __aenter__(self) -> "Authorizer":
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, 0).start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """What Traefik asks, on a free port; without a slash at the end."""
        return f"http://{LOOPBACK}:{self._runner.addresses[0][1]}"

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        answer = await self._answer(request)
        if answer is None:
            return web.Response()
        if _is_grpc(request):
            answer = in_grpc(answer)
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    async def _answer(self, request: web.BaseRequest) -> Refusal | None:
        if request.raw_path in WITHOUT_QUESTION:
            return WITHOUT_QUESTION[request.raw_path]
        authorization = ", ".join(request.headers.getall("Authorization", ()))
        if not authorization:
            return no_token()
        match request.raw_path.split("/")[1:]:
            case [namespace, name]:
                otherwise = None
            case [namespace, name, "unready"]:
                otherwise = NOT_READY
            case _:
                namespace, name = _wanted(request)
                otherwise = NOT_FOUND
        if not (is_label(namespace) and is_label(name)):
            return NO_ENDPOINT if _is_grpc(request) else BAD_PATH
        try:
            exists = otherwise is not NOT_FOUND
            return await self._decisions.decide(authorization, namespace, name, remember=exists) or otherwise
        except HubAway:
            return HUB_AWAY
