"""The dashboard as a program: settings, signals and parts.

The hub configures a service with the variables JUPYTERHUB_API_TOKEN, JUPYTERHUB_API_URL, JUPYTERHUB_BASE_URL,
JUPYTERHUB_CLIENT_ID, JUPYTERHUB_SERVICE_NAME and JUPYTERHUB_SERVICE_PREFIX; where users and services have domains,
also with JUPYTERHUB_HOST, JUPYTERHUB_OAUTH_CALLBACK_URL, JUPYTERHUB_PUBLIC_URL and
JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED. `jupyterhub.services.auth` reads them.
"""

import asyncio
import contextlib
import gc
import hashlib
import hmac
import logging
import os
import signal
from pathlib import Path
from typing import Any

from jupyterhub.services.auth import HubOAuth
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from traitlets import Bool, Float, Integer, Unicode, default
from traitlets.config import Application

from kf_spawner import __version__
from kf_spawner.spawner.catalogue import CatalogueError, from_entries, read_folder
from kf_spawner.variables import folder_of_images, optional
from kf_spawner.workloads.access import OwnAccess

from .handlers import routes
from .service import DashboardService

log = logging.getLogger(__name__)

HERE = Path(__file__).resolve().parent
DRAIN = 2.0


class Dashboard(Application):
    """The hub service `tfjobs`: TFJobs in a browser and by REST."""

    name = "kf-spawner-dashboard"
    version = __version__
    description = __doc__

    kubeconfig = Unicode(
        "",
        help="Path of the kubeconfig. Default: `$KUBECONFIG`, else the pod's own account, else `~/.kube/config`.",
    ).tag(config=True)
    host = Unicode(
        "127.0.0.1", help="Address to listen on; only the hub's proxy has to reach it. Default: 127.0.0.1."
    ).tag(config=True)
    port = Integer(8090, min=0, max=65535, help="TCP port; 0 takes a free one and logs it. Default: 8090.").tag(
        config=True
    )
    request_timeout = Float(30.0, help="Seconds that one request to the Kubernetes API may take. Default: 30.").tag(
        config=True
    )
    heartbeat = Float(
        15.0,
        help="Seconds of silence after which a stream sends a ping, so that no proxy closes it. Default: 15.",
    ).tag(config=True)
    max_body_bytes = Integer(
        1_000_000,
        help="Largest body of a request, in bytes. Default: 1000000, about the largest object that etcd stores.",
    ).tag(config=True)
    login_cache = Float(
        30.0,
        help="""Seconds for which the hub's answer about a token is used again. A user who was logged out, or is no
        longer an administrator, keeps access for up to this time. Default: 30.""",
    ).tag(config=True)
    images_dir = Unicode(
        help="""Folder that describes the images of the create form. Default: `$KF_IMAGES_DIR`, else the folder of
        this version."""
    ).tag(config=True)
    debug = Bool(False, help="Read the templates again for each page, to edit them. Default: false.").tag(config=True)

    aliases = {
        **Application.aliases,
        "kubeconfig": "Dashboard.kubeconfig",
        "host": "Dashboard.host",
        "port": "Dashboard.port",
        "images": "Dashboard.images_dir",
    }

    @default("log_level")
    def _log_level(self) -> int:
        return logging.INFO

    @default("images_dir")
    def _images_dir(self) -> str:
        return str(folder_of_images("KF_IMAGES_DIR"))

    def start(self) -> None:
        level = self.log_level
        assert isinstance(level, int | str)
        logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
        logging.getLogger("tornado.access").setLevel(logging.ERROR)
        logging.getLogger("tornado.application").setLevel(logging.WARNING)
        if not os.environ.get("JUPYTERHUB_API_TOKEN"):
            log.error("JUPYTERHUB_API_TOKEN is not set: the hub's token of the service is needed")
            self.exit(1)
        asyncio.run(self._run())

    async def _run(self) -> None:
        gc.collect()
        gc.freeze()  # a search for garbage would walk what the start has left, and hold the loop meanwhile
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        cluster = OwnAccess(
            self.kubeconfig or None, timeout=self.request_timeout, user_agent=f"kf-spawner-dashboard/{__version__}"
        )
        server = HTTPServer(self.application(cluster), max_body_size=self.max_body_bytes * 2)
        sockets = bind_sockets(self.port, self.host)
        server.add_sockets(sockets)
        log.info("serving on http://%s:%d", self.host, sockets[0].getsockname()[1])
        try:
            await stopping.wait()
        finally:
            log.info("stopping")
            server.stop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN):
                    await server.close_all_connections()
            await cluster.close()

    def application(self, cluster: OwnAccess) -> web.Application:
        """The tornado application; its secrets come from the hub's variables."""
        auth = HubOAuth(parent=self, cache_max_age=max(1, round(self.login_cache)))
        prefix = auth.base_url
        hub = f"{auth.hub_host}{auth.hub_prefix}"
        page = {
            "base": prefix,
            "hub": hub,
            "logout_url": f"{hub}logout",
            "version": __version__,
        }
        return web.Application(
            routes(prefix, str(HERE / "static")),
            template_path=str(HERE / "templates"),
            compiled_template_cache=not self.debug,
            static_hash_cache=not self.debug,
            # A key for the cookies that stays the same after a restart.
            cookie_secret=hmac.digest(auth.api_token.encode(), b"kf-spawner dashboard cookies", hashlib.sha256),
            log_function=_log_request,
            kf_hub_auth=auth,
            kf_service=DashboardService(cluster),
            kf_heartbeat=self.heartbeat,
            kf_max_body=self.max_body_bytes,
            kf_images=self._images(),
            kf_page=page,
        )

    def _images(self) -> list[dict[str, Any]]:
        """The images that the create form offers; none if the folder cannot be read."""
        where = {
            "registry": optional("REGISTRY", default=""),
            "repository": optional("REPO_NAME", default="kf-spawner"),
            "tag": optional("KF_IMAGE_TAG", default=__version__),
        }
        try:
            images = from_entries(read_folder(Path(self.images_dir), **where))
        except (CatalogueError, OSError) as error:
            log.warning("the create form offers no images: %s", error)
            return []
        return [
            {
                "reference": image.reference,
                "title": image.title,
                "description": image.description,
                "gpu": image.gpu,
            }
            for image in images
        ]


def _log_request(handler: web.RequestHandler) -> None:
    """A line for each failure, without the query, which may have a login code."""
    status = handler.get_status()
    if status >= 500:
        log.warning("%s %s answered %d", handler.request.method, handler.request.path, status)


def main() -> None:
    """`python -m kf_spawner.dashboard`."""
    Dashboard.launch_instance()
