"""However many endpoints users have, the door's event loop takes its turns while it makes their routes."""

import contextlib

import aiohttp

from kf_spawner.door.app import DoorApp
from kf_spawner.door.endpoints import Endpoints
from kf_spawner.door.provider import Provider
from tests.fixtures.canned_api import canned_api
from tests.fixtures.loop_time import loop_is_never_held
from tests.serving.test_backends import pod, service

MANY = 3000


def stored(obj: dict) -> dict:
    meta = {**obj["metadata"], "uid": obj["metadata"]["name"], "resourceVersion": "1"}
    return {**obj, "metadata": meta}


async def test_routes_to_many_endpoints():
    names = [f"x{number}" for number in range(MANY)]
    services = [stored(service("kf-ada", name)) for name in names]
    pods = [stored(pod("kf-ada", name, f"10.0.{number // 250}.{number % 250}")) for number, name in enumerate(names)]
    with canned_api() as api:
        api.answers["GET", "/api/v1/services"] = {"metadata": {"resourceVersion": "1"}, "items": services}
        api.answers["GET", "/api/v1/pods"] = {"metadata": {"resourceVersion": "1"}, "items": pods}
        async with api.client() as client, contextlib.AsyncExitStack() as stack, loop_is_never_held():
            endpoints = await stack.enter_async_context(Endpoints(client))
            await endpoints.synced()

            async def configuration() -> dict:
                return await DoorApp().configuration(endpoints, "http://127.0.0.1:1")

            provider = await stack.enter_async_context(Provider(configuration))
            async with aiohttp.ClientSession() as http, http.get(provider.url, headers=provider.headers) as answer:
                text = await answer.text()
    assert text.count('"stripPrefix"') == MANY
