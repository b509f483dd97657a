"""The door as a program of its own: settings in, Traefik's files out, and then the process is Traefik.

For a cluster; `kf-spawner up` starts Traefik itself. Knows nothing of what is behind the addresses that it is given.
"""

import json
import os
import sysconfig
from pathlib import Path

from traitlets import Bool, Integer, List, Unicode
from traitlets.config import Application

from kf_spawner import __version__

from . import configuration as door


class DoorApp(Application):
    """Traefik in front of everything: the hub's proxy, and the routes to model endpoints."""

    name = "kf-spawner-door"
    version = __version__
    description = __doc__

    host = Unicode("127.0.0.1", help="Address to listen on. Default: 127.0.0.1.").tag(config=True)
    port = Integer(8000, min=1, max=65535, help="TCP port. Default: 8000.").tag(config=True)
    proxy_url = Unicode("http://127.0.0.1:8001", help="The hub's proxy. Default: http://127.0.0.1:8001.").tag(
        config=True
    )
    authorize_url = Unicode(
        "http://127.0.0.1:8081/hub/kf/authorize",
        help="""The hub's handler that is asked about requests to endpoints.
        Default: http://127.0.0.1:8081/hub/kf/authorize.""",
    ).tag(config=True)
    routes_url = Unicode(
        "http://127.0.0.1:8085/routes", help="The operator's routes. Default: http://127.0.0.1:8085/routes."
    ).tag(config=True)
    ping_port = Integer(
        8002, min=1, max=65535, help="TCP port that answers /ping once the way to the hub is open. Default: 8002."
    ).tag(config=True)
    trusted_proxies = List(
        Unicode(),
        help="""Networks, as 10.0.0.0/8, of proxies in front: what they say of the caller (X-Forwarded-…) holds.
        Default: none.""",
    ).tag(config=True)
    tls_port = Integer(8443, min=1, max=65535, help="TCP port for HTTPS. Default: 8443.").tag(config=True)
    tls_certificate = Unicode(
        "", help="File with the certificate, and those that sign it, as PEM. Default: none, and no HTTPS."
    ).tag(config=True)
    tls_key = Unicode("", help="File with the certificate's key as PEM. Default: none.").tag(config=True)
    tls_redirect_port = Integer(
        8080, min=1, max=65535, help="TCP port that sends browsers to HTTPS at port 443. Default: 8080."
    ).tag(config=True)
    accept_grace = Integer(
        door.NO_GRACE.accept,
        min=0,
        help="""Seconds after SIGTERM in which connections are still taken, while /ping answers 503: until nothing
        leads here any more. Default: 0.""",
    ).tag(config=True)
    answer_grace = Integer(
        door.NO_GRACE.answer,
        min=0,
        help="Seconds after that in which requests and WebSockets may come to their end. Default: 3.",
    ).tag(config=True)
    folder = Unicode(".", help="Folder for Traefik's two files. Default: the current one.").tag(config=True)
    debug = Bool(False, help="Let Traefik tell everything that it does. Default: off.").tag(config=True)

    aliases = {
        **Application.aliases,
        "host": "DoorApp.host",
        "port": "DoorApp.port",
        "proxy-url": "DoorApp.proxy_url",
        "authorize-url": "DoorApp.authorize_url",
        "routes-url": "DoorApp.routes_url",
        "ping-port": "DoorApp.ping_port",
        "trusted-proxies": "DoorApp.trusted_proxies",
        "tls-certificate": "DoorApp.tls_certificate",
        "tls-key": "DoorApp.tls_key",
        "accept-grace": "DoorApp.accept_grace",
        "answer-grace": "DoorApp.answer_grace",
        "folder": "DoorApp.folder",
    }
    flags = {"debug": ({"DoorApp": {"debug": True}}, debug.help)}

    def start(self) -> None:
        static, dynamic = Path(self.folder) / "static.yaml", Path(self.folder) / "dynamic.yaml"
        made = self.configuration(dynamic)
        static.write_text(json.dumps(made.static))
        dynamic.write_text(json.dumps(made.dynamic))
        traefik = str(Path(sysconfig.get_path("scripts")) / "traefik")
        os.execve(traefik, door.argv(traefik, str(static)), {**os.environ, **door.ENVIRONMENT})  # noqa: S606

    def configuration(self, dynamic_file: Path) -> door.DoorConfiguration:
        """What Traefik is told; the second part of it belongs into `dynamic_file`."""
        tls = None
        if self.tls_certificate:
            tls = door.Tls(
                port=self.tls_port,
                redirect_port=self.tls_redirect_port,
                certificate=self.tls_certificate,
                key=self.tls_key,
            )
        return door.configuration(
            host=self.host,
            port=self.port,
            proxy_url=self.proxy_url,
            authorize_url=self.authorize_url,
            routes_url=self.routes_url,
            dynamic_file=str(dynamic_file),
            ping_host=self.host,
            ping_port=self.ping_port,
            trusted_proxies=self.trusted_proxies,
            tls=tls,
            grace=door.Grace(accept=self.accept_grace, answer=self.answer_grace),
            log_level="DEBUG" if self.debug else "ERROR",
        )


def main() -> None:
    """`python -m kf_spawner.door`."""
    DoorApp.launch_instance()
