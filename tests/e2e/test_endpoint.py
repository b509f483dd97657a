"""An endpoint through the one door: its owner gets an answer, another user 403, nobody 401, and a folder without a
model is refused before anything is made."""

import grpc
import pytest
from yarl import URL

from .client import CellFailed, HubClient

MODEL = """
import os, tensorflow as tf
class Double(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def __call__(self, x):
        return {"y": 2 * x}
double = Double()
tf.saved_model.save(double, os.path.expanduser("~/models/double/1"), signatures=double.__call__)
from kf_spawner.notebook import deploy
endpoint = deploy("double", "~/models/double", replace=True)
print("url", endpoint.url)
print("predicted", endpoint.predict([1.0, 2.5]))
print("tensor", endpoint.predict(tf.constant([1.0, 2.5])), "columns", endpoint.predict({"x": [1.0, 2.5]}))
"""
MORE = """
print("signatures", *sorted(endpoint.metadata()["metadata"]["signature_def"]["signature_def"]))
endpoint.scale(1)
status = endpoint.status()
print("replicas", status["ready"], "versions", [(one["version"], one["state"]) for one in status["versions"]])
"""
NO_MODEL = """
from kf_spawner.notebook import deploy
os.makedirs(os.path.expanduser("~/empty"), exist_ok=True)
deploy("nothing", "~/empty")
"""
NO_SIGNATURE = """
tf.saved_model.save(tf.Module(), os.path.expanduser("~/mute/1"))
deploy("nothing", "~/mute")
"""


async def ask(client: HubClient, token: str | None) -> tuple[int, dict]:
    url = f"{client.url}/serving/kf-admin/double/v1/models/double:predict"
    headers = {"Authorization": f"token {token}"} if token else {}
    async with client.session.post(url, json={"instances": [1.0, 2.5]}, headers=headers) as answer:
        return answer.status, await answer.json()


async def health(client: HubClient, token: str) -> bytes:
    """What the endpoint answers to gRPC's Health.Check, as bytes."""
    metadata = [("authorization", f"Bearer {token}"), ("kf-endpoint", "kf-admin/double")]
    async with grpc.aio.insecure_channel(URL(client.url).authority) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        return await check(b"", metadata=metadata, timeout=60)


async def make_endpoint_token(owner: HubClient) -> str:
    """As docs/serving.md says."""
    body = {"note": "for a friend", "expires_in": 3600, "scopes": ["custom:kf-endpoint:predict!server=admin/double"]}
    headers = {"Authorization": f"token {owner.token}"}
    async with owner.session.post(f"{owner.url}/hub/api/users/admin/tokens", json=body, headers=headers) as answer:
        assert answer.status == 201, await answer.text()
        return (await answer.json())["token"]


async def opens(owner: HubClient, token: str, method: str, path: str) -> bool:
    """Whether the token opens something in the owner's notebook server."""
    headers = {"Authorization": f"token {token}"}
    url = f"{owner.url}/user/admin/api/{path}"
    async with owner.session.request(method, url, json={}, headers=headers) as answer:
        return answer.status < 400


async def test_who_may_call(product, kubectl):
    async with HubClient(product.hub) as owner, HubClient(product.hub, "alice") as other:
        await owner.make_token()
        await other.make_token()
        try:
            await owner.spawn({"image": "tensorflow-2.21.0-notebook-cpu"})
            async with owner.kernel() as kernel:
                shown = await kernel.run(MODEL)
                assert "predicted [2.0, 5.0]" in shown
                assert "tensor [2. 5.] columns [2.0, 5.0]" in shown
                assert f"{owner.url}/serving/kf-admin/double" in shown
                assert await ask(owner, owner.token) == (200, {"predictions": [2.0, 5.0]})
                more = await kernel.run(MORE)
                assert "signatures __saved_model_init_op serving_default" in more
                assert "replicas 1 versions [(1, 'AVAILABLE')]" in more
                given = await make_endpoint_token(owner)
                assert await ask(owner, given) == (200, {"predictions": [2.0, 5.0]})
                assert await health(owner, given) == b"\x08\x01", "SERVING"
                for method, path in (("POST", "kernels"), ("GET", "contents")):
                    assert await opens(owner, owner.token, method, path)
                    assert not await opens(owner, given, method, path)
                assert (await ask(owner, other.token))[0] == 403
                assert (await ask(owner, None))[0] == 401
                with pytest.raises(CellFailed, match="no SavedModel"):
                    await kernel.run(NO_MODEL)
                with pytest.raises(CellFailed, match="version 1 has no signature to call"):
                    await kernel.run(NO_SIGNATURE)
                assert "nothing" not in kubectl("get", "deployments,services", "-o", "name")
                await kernel.run("endpoint.delete()")
            assert "double" not in kubectl("get", "deployments,services", "-o", "name")
        finally:
            await owner.stop_server()
