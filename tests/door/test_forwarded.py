"""What Traefik makes of the headers in which proxies say where a request comes from: anybody can send them."""

from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from kf_spawner.door.dynamic import Targets, dynamic
from tests.fixtures.door import running_door
from tests.fixtures.ports import free_ports

from .running_door import DOOR_TOKEN, echo, serve

PRETENDED = {
    "X-Forwarded-For": "192.0.2.1",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Real-Ip": "192.0.2.1",
}


async def received(folder: Path, *, trusted: list[str], https_in_front: bool) -> dict[str, str]:
    """These headers of a request that pretends all of them, as the hub's proxy receives them."""
    async with AsyncExitStack() as stack:
        proxy = await serve(stack, echo, "127.0.0.1", free_ports(1)[0])
        targets = Targets(f"http://127.0.0.1:{proxy}", "http://127.0.0.1:1", DOOR_TOKEN)
        configuration = dynamic(targets, [], https_in_front=https_in_front)
        door = await stack.enter_async_context(running_door(folder, lambda: configuration, trusted_proxies=trusted))
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{door.url}/hub/login", headers=PRETENDED) as answer,
        ):
            headers = (await answer.json())["headers"]
            return {name: headers.get(name, "") for name in PRETENDED} | {"Host": headers["Host"]}


@pytest.mark.parametrize(("https_in_front", "scheme"), [(False, "http"), (True, "https")])
async def test_what_a_caller_pretends_is_replaced(tmp_path: Path, https_in_front: bool, scheme: str) -> None:
    headers = await received(tmp_path, trusted=["192.0.2.0/28"], https_in_front=https_in_front)
    assert headers == {
        "Host": headers["Host"],
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Host": headers["Host"],
        "X-Forwarded-Proto": scheme,
        "X-Real-Ip": "",
    }


async def test_what_a_named_proxy_says_is_kept_and_its_own_address_added(tmp_path: Path) -> None:
    headers = await received(tmp_path, trusted=["127.0.0.1"], https_in_front=False)
    assert headers["X-Forwarded-For"] == "192.0.2.1, 127.0.0.1"
    assert headers["X-Forwarded-Proto"] == "https"
