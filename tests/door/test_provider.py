"""Who gets the dynamic configuration: it holds the token that the hub's proxy knows the door by."""

import aiohttp

from kf_spawner.door.provider import Provider


async def test_only_its_own_traefik_gets_the_configuration() -> None:
    async def configuration() -> dict[str, object]:
        return {"http": {}}

    async with Provider(configuration) as provider, aiohttp.ClientSession() as http:
        for headers, status in (({}, 403), ({"Authorization": "Bearer x"}, 403), (provider.headers, 200)):
            async with http.get(provider.url, headers=headers) as answer:
                assert answer.status == status
