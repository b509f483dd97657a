"""Answers of the proxy's own, in words."""

from typing import NamedTuple

from aiohttp import web

from ..limits import MAX_BODY


class Refusal(NamedTuple):
    """`retry_after`: seconds until the caller may try again; 0 where that would not help. `location`: where to go
    instead."""

    status: int
    text: str
    retry_after: int = 0
    location: str = ""

    def answer(self) -> web.Response:
        given = {"Retry-After": str(self.retry_after or ""), "Location": self.location}
        headers = {name: value for name, value in given.items() if value}
        return web.Response(status=self.status, text=f"{self.text}\n", headers=headers)


class Refused(Exception):
    """The proxy gives an answer of its own."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal


NO_TOKEN = Refusal(503, "The hub's proxy has no secret of the door's (KF_DOOR_TOKEN): an administrator must set it.")
NOT_THE_DOOR = Refusal(403, "Only the door may ask the hub's proxy: open the door's address instead.")
NO_PATH = Refusal(400, "The target of a request must be a path that begins with a slash, in ASCII.")
FOREIGN_NAME = Refusal(403, "Without a password, this platform answers at localhost and 127.0.0.1 only.")
NO_LENGTH = Refusal(411, "No server runs at this path, and the hub takes no body without a Content-Length.")
TOO_LARGE = Refusal(413, f"No server runs at this path, and the hub takes at most {MAX_BODY // 1024} KiB.")
TOO_SLOW = Refusal(408, "The body of this request came too slowly for the hub: send it again.")
NO_ROOM = Refusal(503, "The hub has too many requests with a body: try again in 10 seconds.", retry_after=10)


def foreign_name(hub_url: str) -> Refusal:
    """`hub_url`: the hub's address where each user has a domain below it; else empty."""
    if not hub_url:
        return FOREIGN_NAME
    return Refusal(403, f"This platform answers at {hub_url} and at the domains of its users only.")


def not_running(hub_url: str, target: str, *, opens_page: bool) -> Refusal:
    """The answer at a user's domain where no server runs: the hub has a page for it, at its own host. A script could
    not read that page; JupyterHub answers scripts 424 in this case, and so do we."""
    text = f"Nothing runs at this address. Open {hub_url} to start a server."
    return Refusal(302, text, location=hub_url + target) if opens_page else Refusal(424, text)
