"""The extension's application: its settings, and what lives as long as the server (client, managers, sweep)."""

import asyncio
import contextlib
import logging
import os
from pathlib import Path

from jupyter_server.extension.application import ExtensionApp
from traitlets import Float, Int, Unicode, default

from kf_spawner import __version__
from kf_spawner.kube import ApiError, ConfigError
from kf_spawner.workloads.access import OwnAccess
from kf_spawner.workloads.jobs import JobDefaults, Jobs

from .endpoints import EndpointDefaults, Endpoints
from .handlers import ROUTES
from .new_home import fill_new_home
from .version_check import version_mismatch

log = logging.getLogger(__name__)


class KubeflowExtension(ExtensionApp):
    """TFJobs and model endpoints from a notebook server, over REST under `/kf/api/v1/`."""

    name = "kf_spawner"
    extension_url = "/kf/api/v1/tfjobs"
    load_other_extensions = True

    kubeconfig = Unicode(
        "",
        help="""Kubeconfig file of the cluster. Jobs and endpoints are made in the namespace of its current context.
        Default: `$KUBECONFIG`, else the pod's own account.""",
    ).tag(config=True)
    request_timeout = Float(30.0, help="Seconds that one request to the Kubernetes API may take. Default: 30.").tag(
        config=True
    )
    predict_timeout = Float(
        300.0,
        help="""Seconds that a model may take to answer a prediction. The model server has a limit of its own,
        `--request-timeout`. Default: 300.""",
    ).tag(config=True)
    heartbeat = Float(
        15.0,
        help="Seconds of silence after which a stream sends a ping, so that no proxy closes it. Default: 15.",
    ).tag(config=True)
    max_body_bytes = Int(
        900_000,
        help="""Largest body of a request that makes something, in bytes. A program is stored in a ConfigMap, which
        holds 1 MiB at most. Default: 900000.""",
    ).tag(config=True)
    max_predict_bytes = Int(
        64 * 1024 * 1024, help="Largest body of a prediction, in bytes. Default: 67108864 (64 MiB)."
    ).tag(config=True)
    orphan_age = Float(
        60.0,
        help="""Age in seconds at which the remains of an interrupted submission are deleted; longer than any
        submission takes. Default: 60.""",
    ).tag(config=True)
    image = Unicode(help="Image of TFJobs that name none. Default: `$KF_IMAGE`, the notebook's own image.").tag(
        config=True
    )
    model_server_image = Unicode(help="Image of the model servers. Default: `$KF_MODEL_SERVER_IMAGE`.").tag(
        config=True
    )
    home_claim = Unicode(help="Volume claim of the home directory; empty: none. Default: `$KF_HOME_CLAIM`.").tag(
        config=True
    )
    home_mount = Unicode(help="Path at which this server sees the home volume. Default: `$KF_HOME_MOUNT`.").tag(
        config=True
    )
    job_home_mount = Unicode(
        help="""Path at which the replicas of TFJobs see the home volume. Default: `/$KF_JOB_HOME`, where the hub
        mounts the home volume in this server's pod; else `/home/jovyan`."""
    ).tag(config=True)
    serving_url = Unicode(help="Public URL below which endpoints answer. Default: `$KF_SERVING_URL`.").tag(
        config=True
    )
    serving_connect_url = Unicode(
        help="`serving_url` as this server reaches it. Default: `$KF_SERVING_CONNECT_URL`, else `serving_url`."
    ).tag(config=True)

    @default("image")
    def _image(self) -> str:
        return os.environ.get("KF_IMAGE", "")

    @default("model_server_image")
    def _model_server_image(self) -> str:
        return os.environ.get("KF_MODEL_SERVER_IMAGE", "")

    @default("home_claim")
    def _home_claim(self) -> str:
        return os.environ.get("KF_HOME_CLAIM", "")

    @default("home_mount")
    def _home_mount(self) -> str:
        return os.environ.get("KF_HOME_MOUNT", "")

    @default("job_home_mount")
    def _job_home_mount(self) -> str:
        path = os.environ.get("KF_JOB_HOME", "")
        return f"/{path}" if path else ""

    @default("serving_url")
    def _serving_url(self) -> str:
        return os.environ.get("KF_SERVING_URL", "")

    @default("serving_connect_url")
    def _serving_connect_url(self) -> str:
        return os.environ.get("KF_SERVING_CONNECT_URL", "") or self.serving_url

    def initialize_settings(self) -> None:
        if message := version_mismatch(hub=os.environ.get("KF_HUB_VERSION", ""), image=__version__):
            log.warning("%s", message)
        if self.home_mount:
            fill_new_home(Path(self.home_mount))
        self._cluster = OwnAccess(
            self.kubeconfig or None, user_agent=f"kf-spawner-extension/{__version__}", timeout=self.request_timeout
        )
        self._jobs = Jobs(
            self._cluster, JobDefaults(image=self.image, claim=self.home_claim, mount=self.job_home_mount)
        )
        self._endpoints = Endpoints(
            self._cluster,
            EndpointDefaults(
                image=self.model_server_image,
                claim=self.home_claim,
                home=self.home_mount,
                door=self.serving_connect_url,
                public=self.serving_url,
                token=os.environ.get("JUPYTERHUB_API_TOKEN"),
            ),
            predict_timeout=self.predict_timeout,
        )
        self.settings.update(
            kf_jobs=self._jobs,
            kf_endpoints=self._endpoints,
            kf_heartbeat=self.heartbeat,
            kf_max_body=self.max_body_bytes,
            kf_max_predict_body=self.max_predict_bytes,
        )

    def initialize_handlers(self) -> None:
        self.handlers.extend(ROUTES)

    async def _start_jupyter_server_extension(self, _serverapp: object) -> None:
        self._sweeping = asyncio.create_task(self._sweep(), name="kf sweep")

    async def stop_extension(self) -> None:
        self._sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._sweeping
        self._endpoints.close()
        await self._cluster.close()

    async def _sweep(self) -> None:
        """Deletes what a killed server left of an unfinished submission; ends when nothing is left."""
        left = True
        while left:
            try:
                young = [await manager.sweep(older_than=self.orphan_age) for manager in (self._jobs, self._endpoints)]
                left = any(young)
            except ConfigError as error:
                log.warning("TFJobs and endpoints are not available: %s", error)
                return
            except ApiError as error:
                log.warning("cannot look for left-over objects: %s", error)
            if left:
                await asyncio.sleep(self.orphan_age)
