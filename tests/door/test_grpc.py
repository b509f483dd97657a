"""gRPC through the door: a real Traefik, a real hub, and model servers that tell what reached them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc
import pytest
import pytest_asyncio

from kf_spawner.door.dynamic import Targets
from kf_spawner.serving import GRPC_PORT
from tests.fixtures.bare_hub import DOOR_TOKEN, BareHub, until
from tests.fixtures.door import running_door

from .running_door import Endpoints, authorizer, endpoint_service, ready_pod, serve_as_a_pod

pytestmark = pytest.mark.asyncio(loop_scope="module")

PREDICT = "/tensorflow.serving.PredictionService/Predict"
TIMEOUT = 60.0  # s
LARGE = b"x" * 20 * 2**20


class Told(grpc.GenericRpcHandler):
    """Answers every call with its message, after the metadata that came with it."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        seen = {key: str(value) for key, value in details.invocation_metadata}

        async def answer(message: bytes, context: grpc.aio.ServicerContext) -> bytes:
            if message == b"fail":
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the model's own words")
            return f"{details.method} {sorted(seen)}\n".encode() + message

        return grpc.unary_unary_rpc_method_handler(answer)


class Caller:
    """Calls through the door, by tokens' names and endpoints."""

    def __init__(self, hub: BareHub, channel: grpc.aio.Channel) -> None:
        self._hub, self._channel = hub, channel

    async def call(self, user: str, endpoint: str, message: bytes = b"", path: str = PREDICT) -> bytes:
        metadata = [("authorization", f"Bearer {await self._hub.token(user)}")] if user else []
        if endpoint:
            metadata.append(("kf-endpoint", endpoint))
        answer: bytes = await self._channel.unary_unary(path)(message, metadata=metadata, timeout=TIMEOUT)
        return answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def caller(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    folder = tmp_path_factory.mktemp("door")
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(BareHub(folder))
        address = await serve_as_a_pod(stack)
        server = grpc.aio.server(options=options)
        server.add_generic_rpc_handlers((Told(),))
        server.add_insecure_port(f"{address}:{GRPC_PORT}")
        await server.start()
        stack.push_async_callback(server.stop, 0)
        endpoints = Endpoints()
        endpoints.services = [endpoint_service("kf-alice", "digits"), endpoint_service("kf-alice", "loading")]
        endpoints.pods = [ready_pod("kf-alice", "digits", address)]
        asked = await stack.enter_async_context(authorizer(hub.authorize_url))
        targets = Targets(hub.proxy_url, asked.url, DOOR_TOKEN)
        door = await stack.enter_async_context(running_door(folder, lambda: endpoints.configuration(targets)))
        token = await hub.token("alice")
        await until(f"{door.url}/serving/kf-alice/digits/v1", headers={"Authorization": f"token {token}"})
        channel = await stack.enter_async_context(
            grpc.aio.insecure_channel(f"127.0.0.1:{door.port}", options=options)
        )
        yield Caller(hub, channel)


async def test_the_owner_reaches_the_model_and_the_token_stays_at_the_door(caller: Caller) -> None:
    head, _, message = (await caller.call("alice", "kf-alice/digits", LARGE)).partition(b"\n")
    assert message == LARGE
    assert head.startswith(PREDICT.encode())
    assert b"kf-endpoint" in head
    assert b"authorization" not in head
    health = await caller.call("alice", "kf-alice/digits", path="/grpc.health.v1.Health/Check")
    assert health.startswith(b"/grpc.health.v1.Health/Check")


@pytest.mark.parametrize(
    ("user", "endpoint", "code", "words"),
    [
        ("", "kf-alice/digits", grpc.StatusCode.UNAUTHENTICATED, "Send a token of the hub"),
        ("", "kf-alice/nothing", grpc.StatusCode.UNAUTHENTICATED, "Send a token of the hub"),
        ("bob", "kf-alice/digits", grpc.StatusCode.PERMISSION_DENIED, "may not use this endpoint"),
        ("bob", "kf-alice/nothing", grpc.StatusCode.PERMISSION_DENIED, "may not use this endpoint"),
        ("alice", "kf-alice/loading", grpc.StatusCode.UNAVAILABLE, "no ready pod"),
        ("alice", "kf-alice/nothing", grpc.StatusCode.NOT_FOUND, "does not exist"),
        ("alice", "kf-alice/digits/../../kf-bob/digits", grpc.StatusCode.INVALID_ARGUMENT, "kf-endpoint: NAMESPACE"),
        ("alice", "", grpc.StatusCode.INVALID_ARGUMENT, "kf-endpoint: NAMESPACE/NAME"),
    ],
)
async def test_who_reaches_nothing(
    caller: Caller, user: str, endpoint: str, code: grpc.StatusCode, words: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await caller.call(user, endpoint)
    assert failed.value.code() == code, failed.value.details()
    assert words in failed.value.details()


async def test_the_models_own_errors_pass(caller: Caller) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await caller.call("alice", "kf-alice/digits", b"fail")
    assert (failed.value.code(), failed.value.details()) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "the model's own words",
    )
