"""The door as a program: settings, signals and parts.

It follows endpoints, gives Traefik its configuration, tells Traefik who may call an endpoint, and runs Traefik as its
child.
"""

import asyncio
import gc
import json
import logging
import os
import signal
import sysconfig
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from traitlets import Bool, Integer, List, Unicode, default
from traitlets.config import Application

from kf_spawner import __version__
from kf_spawner.kube import Client, ClusterConfig, ConfigError, load_config
from kf_spawner.serving import Backends

from . import process
from .authorizer import Authorizer
from .decisions import Decisions
from .dynamic import Certificate, Targets, dynamic
from .endpoints import Endpoints
from .hub import Hub
from .listeners import Listeners
from .provider import Provider
from .static import CLOSED_AT_START, ENTRY_POINT, ENVIRONMENT, NO_GRACE, Grace, TlsPorts, addresses, argv, static

log = logging.getLogger(__name__)

FIRST_LIST = 3.0
"""Seconds that the start waits for the endpoints, so that their routes are there from the beginning. An API server
that is away for longer must not keep users from their notebooks: then only `/ping` has to wait."""


class DoorApp(Application):
    """Traefik in front of everything: the hub's proxy, and the routes to model endpoints."""

    name = "kf-spawner-door"
    version = __version__
    description = "Traefik in front of everything: forwards to the hub's proxy and to model endpoints."

    kubeconfig = Unicode(
        "",
        help="Path of the kubeconfig. Default: `$KUBECONFIG`, else the pod's own account, else `~/.kube/config`.",
    ).tag(config=True)
    host = Unicode("127.0.0.1", help="Address to listen on. Default: 127.0.0.1.").tag(config=True)
    port = Integer(8000, min=1, max=65535, help="TCP port for HTTP. Default: 8000.").tag(config=True)
    proxy_url = Unicode("http://127.0.0.1:8001", help="URL of the hub's proxy. Default: http://127.0.0.1:8001.").tag(
        config=True
    )
    authorize_url = Unicode(
        "http://127.0.0.1:8081/hub/kf/authorize",
        help="""URL of the hub's handler that says who may use an endpoint. Default:
        http://127.0.0.1:8081/hub/kf/authorize.""",
    ).tag(config=True)
    keep_decisions = Integer(
        30,
        min=0,
        help="""Seconds for which the hub's answer that a token may use an endpoint is used again. A token that was
        revoked is refused at the latest then. 0 asks the hub about each request. Default: 30.""",
    ).tag(config=True)
    keep_decisions_without_hub = Integer(
        600,
        min=0,
        help="""Seconds for which that answer is used while the hub does not answer, so that predictions go on while
        it is restarted or upgraded. A token's own end counts all the same. Less than `keep_decisions` counts as
        much. Default: 600 (10 minutes).""",
    ).tag(config=True)
    proxy_token = Unicode(
        help="""Secret that the hub's proxy knows the door by. Default: the value of `KF_DOOR_TOKEN`, which must be
        set."""
    ).tag(config=True)
    hub_domain = Unicode(
        "",
        help="""Host name of the hub, where each user has a domain below it. Endpoints are then not served at this
        name, nor at those below it, except at `serving--service` below it. Default: none, and endpoints are served at
        every name.""",
    ).tag(config=True)
    ping_host = Unicode("", help="Address of `/ping`. Default: the same as host.").tag(config=True)
    ping_port = Integer(
        8002, min=1, max=65535, help="TCP port that answers `/ping` once all routes are there. Default: 8002."
    ).tag(config=True)
    trusted_proxies = List(
        Unicode(),
        help="""Networks of the proxies in front, such as 192.0.2.0/28. Their `X-Forwarded-…` headers are trusted.
        Default: none.""",
    ).tag(config=True)
    https_in_front = Bool(
        False,
        help="""Whether browsers speak HTTPS to a proxy in front. The hub then makes cookies for HTTPS alone. Set it
        if `trusted_proxies` does not name that proxy. Default: false.""",
    ).tag(config=True)
    tls_port = Integer(
        8443,
        min=1,
        max=65535,
        help="TCP port for HTTPS. The port for HTTP stays open, for clients inside the cluster. Default: 8443.",
    ).tag(config=True)
    tls_certificate = Unicode(
        "",
        help="""PEM file with the certificate and those that sign it. A new one is read at the next start. Default:
        none, and no HTTPS.""",
    ).tag(config=True)
    tls_key = Unicode("", help="PEM file with the certificate's private key. Default: none.").tag(config=True)
    tls_redirect_port = Integer(
        8080, min=1, max=65535, help="TCP port that redirects browsers to HTTPS at port 443. Default: 8080."
    ).tag(config=True)
    accept_grace = Integer(
        NO_GRACE.accept,
        min=0,
        help="""Seconds after SIGTERM in which connections are still accepted while `/ping` answers 503. The chart
        sets 5, so that the cluster's nodes learn of the next door: after a refused connection JupyterLab says that
        the server is gone. Default: 0.""",
    ).tag(config=True)
    answer_grace = Integer(
        NO_GRACE.answer,
        min=0,
        help="""Seconds after `accept_grace` in which requests and WebSockets may end. The door ends sooner if no
        connection is left. The chart sets 65, longer than a request waits for a new proxy of the hub.
        Default: 3.""",
    ).tag(config=True)
    folder = Unicode(".", help="Folder for Traefik's configuration file. Default: . (the current folder).").tag(
        config=True
    )
    debug = Bool(
        False, help="Log what the door does, and of Traefik all but its requests and configuration. Default: false."
    ).tag(config=True)

    aliases = {
        **Application.aliases,
        "kubeconfig": "DoorApp.kubeconfig",
        "host": "DoorApp.host",
        "port": "DoorApp.port",
        "proxy-url": "DoorApp.proxy_url",
        "authorize-url": "DoorApp.authorize_url",
        "hub-domain": "DoorApp.hub_domain",
        "ping-host": "DoorApp.ping_host",
        "ping-port": "DoorApp.ping_port",
        "trusted-proxies": "DoorApp.trusted_proxies",
        "tls-certificate": "DoorApp.tls_certificate",
        "tls-key": "DoorApp.tls_key",
        "accept-grace": "DoorApp.accept_grace",
        "answer-grace": "DoorApp.answer_grace",
        "folder": "DoorApp.folder",
    }
    flags = {
        "debug": ({"DoorApp": {"debug": True}}, debug.help),
        "https-in-front": ({"DoorApp": {"https_in_front": True}}, https_in_front.help),
    }

    @default("proxy_token")
    def _default_proxy_token(self) -> str:
        return os.environ.get("KF_DOOR_TOKEN", "")

    def start(self) -> None:
        logging.basicConfig(
            level=logging.DEBUG if self.debug else logging.WARNING,
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
            force=True,
        )
        if not self.proxy_token:
            log.error("KF_DOOR_TOKEN is not set: give the door and the hub's proxy the same secret in it")
            self.exit(1)
        try:
            config = load_config(self.kubeconfig or None)
        except ConfigError as error:
            log.error("%s", error)
            self.exit(1)
        self.exit(asyncio.run(self._run(config)))

    async def _run(self, config: ClusterConfig) -> int:
        gc.collect()
        gc.freeze()  # a search for garbage would walk what the start has left, and hold the loop meanwhile
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        client = Client(config, user_agent=f"kf-spawner-door/{__version__}", connections=2)
        async with (
            client,
            Endpoints(client) as endpoints,
            Hub(self.authorize_url) as hub,
            self.decisions(hub) as decisions,
            Authorizer(decisions) as authorizer,
            Provider(lambda: self.configuration(endpoints, authorizer.url)) as provider,
        ):
            await _first(endpoints.synced(), stopping.wait(), timeout=FIRST_LIST)
            if stopping.is_set():
                return 0
            file = Path(self.folder) / "static.yaml"
            write_private(file, json.dumps(self.static(provider.url, provider.headers)))  # JSON is YAML
            return await self._traefik(file, stopping)

    async def _traefik(self, file: Path, stopping: asyncio.Event) -> int:
        program = str(Path(sysconfig.get_path("scripts")) / "traefik")
        try:
            listeners = Listeners(addresses(**self.where), looked_at=ENTRY_POINT, closed=CLOSED_AT_START)
        except OSError as error:
            log.error("%s", error.strerror)
            return 1
        with listeners:
            letting_in = asyncio.create_task(listeners.let_in())
            try:
                return await process.run(argv(program, str(file)), ENVIRONMENT, stopping, listeners.sockets)
            finally:
                letting_in.cancel()
                await asyncio.gather(letting_in, return_exceptions=True)

    @property
    def where(self) -> dict[str, Any]:
        """What `static.addresses` and `static` take alike."""
        return {
            "host": self.host,
            "port": self.port,
            "ping_host": self.ping_host or self.host,
            "ping_port": self.ping_port,
            "tls": TlsPorts(self.tls_port, self.tls_redirect_port) if self.tls_certificate else None,
        }

    async def configuration(self, endpoints: Endpoints, authorizer_url: str) -> dict[str, Any]:
        """In a thread: with thousands of endpoints it takes long."""
        targets = Targets(self.proxy_url, authorizer_url, self.proxy_token)
        return await asyncio.to_thread(self.dynamic, targets, await endpoints.backends())

    def decisions(self, hub: Hub) -> Decisions:
        """What the hub says, kept as the settings say."""
        return Decisions(hub.ask, keep=self.keep_decisions, without_hub=self.keep_decisions_without_hub)

    @property
    def certificate(self) -> Certificate | None:
        return Certificate(self.tls_certificate, self.tls_key) if self.tls_certificate else None

    def dynamic(self, targets: Targets, endpoints: list[Backends] | None) -> dict[str, Any]:
        """Traefik's dynamic configuration, as the settings say."""
        return dynamic(
            targets,
            endpoints,
            certificate=self.certificate,
            https_in_front=self.https_in_front,
            hub_domain=self.hub_domain,
        )

    def static(self, dynamic_url: str, dynamic_headers: Mapping[str, str]) -> dict[str, Any]:
        """Traefik's static configuration, as the settings say."""
        return static(
            **self.where,
            dynamic_url=dynamic_url,
            dynamic_headers=dynamic_headers,
            trusted_proxies=self.trusted_proxies,
            grace=Grace(accept=self.accept_grace, answer=self.answer_grace),
            # At DEBUG Traefik would write its configuration, which has the secrets of the proxy and of the provider.
            log_level="INFO" if self.debug else "ERROR",
        )


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read."""
    path.unlink(missing_ok=True)  # one of an earlier start keeps its mode
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


async def _first(*waiting: Coroutine[Any, Any, Any], timeout: float) -> None:
    """Returns when one of them has ended, or after `timeout` seconds; the others are then cancelled."""
    tasks = {asyncio.ensure_future(each) for each in waiting}
    await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    """`python -m kf_spawner.door`."""
    DoorApp.launch_instance()
