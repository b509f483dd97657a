"""iap: which signed headers of Google's Identity-Aware Proxy log somebody in. The tests serve keys of their own."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from types import SimpleNamespace

import jwt
import pytest
from aiohttp import test_utils, web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tornado.httputil import HTTPHeaders
from tornado.web import HTTPError

from kf_spawner.hub.login import signing_keys
from kf_spawner.hub.login.iap import ISSUER, IapAuthenticator
from kf_spawner.hub.login.signing_keys import LIFETIME, PAUSE, KeysUnavailable, SigningKeys
from kf_spawner.hub.login.unsafe import UnsafeLogin
from kf_spawner.serving import IAP_HEADER

AUDIENCE = "/projects/123/global/backendServices/456"
UNSIGNED = "X-Goog-Authenticated-User-Email"


class Signer:
    """A key pair with an id."""

    def __init__(self, key_id: str) -> None:
        self.key_id = key_id
        self.private = ec.generate_private_key(ec.SECP256R1())
        public = jwt.algorithms.ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        self.public = {**public, "kid": key_id, "alg": "ES256", "use": "sig"}

    def sign(self, *without: str, **claims: object) -> str:
        """An assertion that is good but for these changes."""
        return jwt.encode(good(*without, **claims), self.private, "ES256", {"kid": self.key_id})


def good(*without: str, **claims: object) -> dict:
    now = int(time.time())
    made = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 600, "email": "ada@example.com", **claims}
    return {name: value for name, value in made.items() if name not in without}


class KeyServer:
    """The published keys of `signers`. `status` is what it answers; while `hold` is set it does not."""

    def __init__(self, *signers: Signer) -> None:
        self.signers, self.status, self.asked, self.hold = list(signers), 200, 0, False
        app = web.Application()
        app.router.add_get("/keys", self._answer)
        self.server = test_utils.TestServer(app)

    async def start(self) -> None:
        await self.server.start_server()
        self.url = str(self.server.make_url("/keys"))

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        while self.hold:
            await asyncio.sleep(0.01)
        return web.json_response({"keys": [signer.public for signer in self.signers]}, status=self.status)


@pytest.fixture
async def keys():
    served = KeyServer(Signer("first"))
    await served.start()
    yield served
    served.hold = False
    await served.server.close()


@pytest.fixture
def signer(keys):
    return keys.signers[0]


async def login(keys: KeyServer, *assertions: str, **headers: str) -> str:
    """The user's name. Raises HTTPError."""
    made = HTTPHeaders(headers)
    for assertion in assertions:
        made.add(IAP_HEADER, assertion)
    authenticator = IapAuthenticator(audience=AUDIENCE, keys_url=keys.url)
    answer = await authenticator.get_authenticated_user(SimpleNamespace(request=SimpleNamespace(headers=made)), None)
    return answer["name"]


async def test_a_good_assertion_names_the_user(keys, signer):
    assert await login(keys, signer.sign()) == "ada@example.com"
    assert await login(keys, signer.sign(), **{UNSIGNED: "accounts.google.com:admin"}) == "ada@example.com"
    assert await login(keys, signer.sign(identity_source="GOOGLE")) == "ada@example.com"


async def test_clocks_may_differ_by_half_a_minute(keys, signer):
    now = int(time.time())
    assert await login(keys, signer.sign(exp=now - 20))
    assert await login(keys, signer.sign(iat=now + 20))


def signed_with_the_public_key(signer: Signer) -> str:
    """HS256 with the public key as the secret: a check that takes the header's algorithm takes it."""
    pem = signer.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    parts = [{"alg": "HS256", "typ": "JWT", "kid": signer.key_id}, good()]
    text = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    mark = base64.urlsafe_b64encode(hmac.digest(pem, text, hashlib.sha256)).rstrip(b"=")
    return (text + b"." + mark).decode()


BAD = {
    "nothing": lambda signer: [],
    "two": lambda signer: [signer.sign(), signer.sign()],
    "garbage": lambda signer: ["admin"],
    "unsigned": lambda signer: [jwt.encode(good(), None, "none", {"kid": signer.key_id})],
    "HS256": lambda signer: [signed_with_the_public_key(signer)],
    "another's key by the same id": lambda signer: [Signer(signer.key_id).sign()],
    "an unknown key": lambda signer: [Signer("unknown").sign()],
    "no key id": lambda signer: [jwt.encode(good(), signer.private, "ES256")],
    "changed": lambda signer: [".".join([*signer.sign(email="admin@x").split(".")[:2], signer.sign().split(".")[2]])],
    "another audience": lambda signer: [signer.sign(aud="/projects/123/global/backendServices/9")],
    "two audiences": lambda signer: [signer.sign(aud=[AUDIENCE, "/projects/9"])],
    "another issuer": lambda signer: [signer.sign(iss="https://accounts.google.com")],
    "expired": lambda signer: [signer.sign(exp=int(time.time()) - 60)],
    "not yet issued": lambda signer: [signer.sign(iat=int(time.time()) + 60)],
    "no audience": lambda signer: [signer.sign("aud")],
    "no issuer": lambda signer: [signer.sign("iss")],
    "no expiry": lambda signer: [signer.sign("exp")],
    "no time of issue": lambda signer: [signer.sign("iat")],
    "no email": lambda signer: [signer.sign("email")],
    "an email that is none": lambda signer: [signer.sign(email="admin")],
    "an external identity": lambda signer: [signer.sign(gcip={"sign_in_provider": "password"})],
    "a workforce identity": lambda signer: [signer.sign(workforce_identity={"workforce_pool_name": "locations/x"})],
    "another source of identities": lambda signer: [signer.sign(identity_source="WORKFORCE_IDENTITY")],
}


@pytest.mark.parametrize("kind", BAD)
async def test_any_other_assertion_is_refused(keys, signer, kind):
    with pytest.raises(HTTPError) as refusal:
        await login(keys, *BAD[kind](signer), **{UNSIGNED: "accounts.google.com:admin"})
    assert refusal.value.status_code == 401
    assert IAP_HEADER in refusal.value.log_message


async def test_while_the_keys_cannot_be_fetched_nobody_logs_in_and_is_told_why(keys, signer):
    keys.status = 500
    with pytest.raises(HTTPError) as refusal:
        await login(keys, signer.sign())
    assert refusal.value.status_code == 503
    assert refusal.value.headers == {"Retry-After": "10"}
    assert f"the keys at {keys.url} cannot be fetched: status 500" in refusal.value.log_message
    await keys.server.close()
    with pytest.raises(HTTPError, match="Connect"):
        await login(keys, signer.sign())


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_new_key_is_fetched_and_a_withdrawn_one_forgotten(keys):
    clock = Clock()
    held = SigningKeys(keys.url, clock=clock)
    assert (await held.get("first")).key_id == "first"
    keys.signers = [Signer("second")]
    clock.now += PAUSE
    assert await held.get("first")
    assert keys.asked == 1, "a key that is known needs no request"
    assert (await held.get("second")).key_id == "second"
    assert keys.asked == 2
    keys.signers = [Signer("third")]
    clock.now += LIFETIME
    assert await held.get("second") is None


async def test_invented_key_ids_cause_one_request_in_ten_seconds(keys):
    clock = Clock()
    held = SigningKeys(keys.url, clock=clock)
    assert await asyncio.gather(*(held.get(f"invented {number}") for number in range(50))) == [None] * 50
    assert keys.asked == 1
    clock.now += PAUSE
    assert await held.get("invented") is None
    assert keys.asked == 2


async def test_known_keys_last_while_their_address_is_down(keys, monkeypatch):
    clock = Clock()
    held = SigningKeys(keys.url, clock=clock)
    assert await held.get("first")
    monkeypatch.setattr(signing_keys, "FETCH_TIMEOUT", 0.1)
    keys.hold = True
    clock.now += PAUSE
    waiting = asyncio.create_task(held.get("second"))
    assert await held.get("first"), "it waits for another's request"
    with pytest.raises(KeysUnavailable, match="no answer within"):
        await waiting
    assert await held.get("first")
    clock.now += LIFETIME
    with pytest.raises(KeysUnavailable):
        await held.get("first")
    keys.hold = False
    clock.now += PAUSE
    assert await held.get("first")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "needs KF_IAP_AUDIENCE"),
        ({"audience": AUDIENCE, "keys_url": "http://keys.example.com/"}, "begins with https://"),
    ],
)
def test_what_would_let_strangers_in_is_refused(settings, words):
    with pytest.raises(UnsafeLogin, match=words):
        IapAuthenticator(**settings)
