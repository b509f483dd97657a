"""Who gets the dynamic configuration: it holds the token that the hub's proxy knows the door by."""

import asyncio

import aiohttp
from yarl import URL

from kf_spawner.door.provider import Provider


async def test_only_its_own_traefik_gets_the_configuration() -> None:
    async def configuration() -> dict[str, object]:
        return {"http": {}}

    async with Provider(configuration) as provider, aiohttp.ClientSession() as http:
        for headers, status in (({}, 403), ({"Authorization": "Bearer x"}, 403), (provider.headers, 200)):
            async with http.get(provider.url, headers=headers) as answer:
                assert answer.status == status
        reader, writer = await asyncio.open_connection("127.0.0.1", URL(provider.url).port)
        writer.write(b"GET /dynamic HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\r\n\r\n")
        assert await asyncio.wait_for(reader.readline(), 60) == b"HTTP/1.1 403 Forbidden\r\n", (
            "bytes that are no UTF-8"
        )
        writer.close()
