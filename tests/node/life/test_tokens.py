"""The token of a pod's service account: where it is, whose it is, what it is good for."""

import base64
import json

import pytest

from tests.node.pods import Pods, sh

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def claims(token: str) -> dict:
    """What a token says of itself."""
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


async def test_a_pod_has_its_accounts_token(pods: Pods) -> None:
    script = f"cat {ACCOUNT}/token; echo; cat {ACCOUNT}/namespace; echo; head -1 {ACCOUNT}/ca.crt"
    pod = await pods.pod(sh(script), restartPolicy="Never", automountServiceAccountToken=True)
    token, namespace, authority = (await pods.output(pod)).splitlines()
    assert namespace == pods.namespace
    assert authority == "-----BEGIN CERTIFICATE-----"
    said = claims(token)
    assert said["sub"] == f"system:serviceaccount:{pods.namespace}:default"
    assert said["kubernetes.io"]["pod"] == {"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}


async def test_a_pod_that_wants_none_has_none(pods: Pods) -> None:
    pod = await pods.pod(sh(f"[ -e {ACCOUNT}/token ] && echo there || echo none"), restartPolicy="Never")
    assert await pods.output(pod) == "none\n"


@pytest.mark.parametrize("seconds", [600, 7200])
async def test_a_token_for_somebody_else(pods: Pods, seconds: int) -> None:
    source = {"serviceAccountToken": {"path": "t", "audience": "vault", "expirationSeconds": seconds}}
    part = {**sh("cat /v/t"), "volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    volumes = [{"name": "v", "projected": {"sources": [source]}}]
    pod = await pods.pod(part, restartPolicy="Never", volumes=volumes)
    said = claims(await pods.output(pod))
    assert said["aud"] == ["vault"]
    assert said["exp"] - said["iat"] == seconds


PROGRAM = f"""
import json, os, ssl, urllib.request
folder = {ACCOUNT!r}
address = os.environ["KUBERNETES_SERVICE_HOST"] + ":" + os.environ["KUBERNETES_SERVICE_PORT"]
request = urllib.request.Request(
    "https://" + address + "/apis/authentication.k8s.io/v1/selfsubjectreviews",
    data=json.dumps({{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}}).encode(),
    headers={{"Authorization": "Bearer " + open(folder + "/token").read(), "Content-Type": "application/json"}},
)
answer = urllib.request.urlopen(request, context=ssl.create_default_context(cafile=folder + "/ca.crt"), timeout=20)
print(json.load(answer)["status"]["userInfo"]["username"])
"""


async def test_with_it_the_api_server_knows_the_pod(pods: Pods) -> None:
    pod = await pods.pod(
        {"command": ["python", "-c", PROGRAM]}, restartPolicy="Never", automountServiceAccountToken=True
    )
    assert await pods.output(pod) == f"system:serviceaccount:{pods.namespace}:default\n"
