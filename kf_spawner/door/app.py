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
    port = Integer(8000, min=1, max=65535, help="TCP port for HTTP. Default: 8000.").tag(config=True)
    proxy_url = Unicode("http://127.0.0.1:8001", help="URL of the hub's proxy. Default: http://127.0.0.1:8001.").tag(
        config=True
    )
    authorize_url = Unicode(
        "http://127.0.0.1:8081/hub/kf/authorize",
        help="""URL of the hub's handler that authorizes each request to an endpoint. Default:
        http://127.0.0.1:8081/hub/kf/authorize.""",
    ).tag(config=True)
    routes_url = Unicode(
        "http://127.0.0.1:8085/routes",
        help="""URL of the operator's routes to endpoints. While it does not answer, endpoints keep their last
        routes. Default: http://127.0.0.1:8085/routes.""",
    ).tag(config=True)
    ping_port = Integer(
        8002, min=1, max=65535, help="TCP port that answers `/ping` once the hub can be reached. Default: 8002."
    ).tag(config=True)
    trusted_proxies = List(
        Unicode(),
        help="""Networks of the proxies in front, such as 10.0.0.0/8. What their `X-Forwarded-…` headers say of the
        caller is believed. Default: none.""",
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
        door.NO_GRACE.accept,
        min=0,
        help="""Seconds after SIGTERM in which connections are still accepted while `/ping` answers 503. The chart
        sets 5, in which the cluster's nodes learn of the next door: after a refused connection JupyterLab
        says that the server is gone. Default: 0.""",
    ).tag(config=True)
    answer_grace = Integer(
        door.NO_GRACE.answer,
        min=0,
        help="""Seconds after `accept_grace` in which requests and WebSockets may end. The door ends sooner if no
        connection is left. The chart sets 65, longer than a request waits for a new proxy of the hub.
        Default: 3.""",
    ).tag(config=True)
    folder = Unicode(".", help="Folder for Traefik's two configuration files. Default: . (the current folder).").tag(
        config=True
    )
    debug = Bool(False, help="Let Traefik log everything that it does, including paths. Default: false.").tag(
        config=True
    )

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
