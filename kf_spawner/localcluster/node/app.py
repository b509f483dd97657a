"""The node as a program: its settings, and how it creates and connects its parts."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
from traitlets import Bool, Float, Integer, Unicode, default
from traitlets.config import Application

from kf_spawner import __version__
from kf_spawner.k8s import quantities
from kf_spawner.kube import Client, ClusterConfig, ConfigError, EventRecorder, load_config

from . import hardware
from .api.container_access import Access
from .api.server import NodeServer, ServerTls
from .common.deadlines import cancel
from .common.restarts import CRASH_FIRST, CRASH_MOST
from .container.context import Context, Settings
from .container.devices import Devices
from .health import Health
from .image.store import ImageStore
from .network.addresses import Addresses
from .pod.agent import Agent, AlreadyRunning, node_lock
from .pod.orphans import end_pods, pods_on_disk
from .registration import KUBELET_VERSION, Registration, allocatable, capacity, node_labels
from .volume.manager import VolumeManager
from .volume.provisioner import run_provisioner

log = logging.getLogger(__name__)

PACKAGE = Path(__file__).resolve().parents[2]
USER_AGENT = f"kf-spawner-node/{__version__}"


SETTINGS = (
    "kubeconfig",
    "provisioner_kubeconfig",
    "root",
    "volumes",
    "images",
    "image_cache",
    "package",
    "host",
    "port",
    "healthz_port",
    "tls_cert",
    "tls_key",
    "client_ca",
    "max_pods",
    "reserved_memory",
    "stop_pods",
    "stop_grace",
    "orphan_grace",
    "backoff_first",
    "backoff_most",
    "log_max_bytes",
    "log_max_files",
    "refresh_interval",
)
"""Traits that are also command line flags: the same name, with dashes."""


class NodeApp(Application):
    """Runs the pods bound to this machine as processes: a kubelet without containers."""

    name = "kf-spawner-node"
    version = __version__
    description = __doc__

    kubeconfig = Unicode(
        help="Kubeconfig file of the node: user `system:node:NAME`, group `system:nodes`. Required."
    ).tag(config=True)
    provisioner_kubeconfig = Unicode(
        help="""Kubeconfig file of the identity that makes volumes for claims. Default: none; another
        provisioner then serves the claims."""
    ).tag(config=True)
    node_name = Unicode(help="Name of the Node object. Default: the host's name, made valid for Kubernetes.").tag(
        config=True
    )
    root = Unicode(
        help="The node's own folder: pods, logs and records. Only one node at a time can use it. Required."
    ).tag(config=True)
    volumes = Unicode(help="Folder that holds a directory for each claim. Default: `volumes` beside `root`.").tag(
        config=True
    )
    images = Unicode(help="Folder of the image catalogue, with one folder for each image. Required.").tag(config=True)
    image_cache = Unicode(
        help="Folder where the node builds images. Default: `kf-spawner` in `$XDG_CACHE_HOME` or `~/.cache`."
    ).tag(config=True)
    package = Unicode(
        str(PACKAGE),
        help="Folder of the kf_spawner package that each image contains. Default: the package of this process.",
    ).tag(config=True)
    host = Unicode(
        "127.0.0.1", help="Address where the node listens and that its Node object shows. Default: 127.0.0.1."
    ).tag(config=True)
    port = Integer(
        0, help="TCP port of the kubelet API (logs, exec), TLS only; 0 picks a free port. Default: 0."
    ).tag(config=True)
    healthz_port = Integer(
        0,
        help="""TCP port of `/healthz` (plain HTTP), which answers 200 once the node accepts pods; 0 disables it.
        Default: 0.""",
    ).tag(config=True)
    tls_cert = Unicode(help="PEM file with the certificate of the kubelet API. Required.").tag(config=True)
    tls_key = Unicode(help="PEM file with its private key. Required.").tag(config=True)
    client_ca = Unicode(
        help="PEM file with the authority that signs the certificates of the kubelet API's clients. Required."
    ).tag(config=True)
    max_pods = Integer(110, help="Largest number of pods that run at the same time. Default: 110.").tag(config=True)
    reserved_memory = Unicode(
        "1Gi",
        help="""Memory that the node reserves for the control plane, the hub and the system. A Kubernetes quantity.
        Default: 1Gi.""",
    ).tag(config=True)
    stop_pods = Bool(
        True,
        help="""Whether SIGTERM stops all pods, as when a machine shuts down; the next node restarts the pods that
        should run. False: the pods continue for `orphan_grace`. Default: true.""",
    ).tag(config=True)
    stop_grace = Float(
        10.0,
        help="""Seconds that pods have to end when the node stops; a pod's own grace period counts if it is
        shorter. Default: 10.""",
    ).tag(config=True)
    orphan_grace = Float(
        120.0, help="Seconds that pods continue after their node was killed; then they end. Default: 120."
    ).tag(config=True)
    backoff_first = Float(
        CRASH_FIRST,
        help="""Seconds before the first restart of a failed container, and before the second pull of an image.
        Default: 10.""",
    ).tag(config=True)
    backoff_most = Float(
        CRASH_MOST,
        help="Longest pause in seconds: each pause is twice the previous one, up to this limit. Default: 300.",
    ).tag(config=True)
    log_max_bytes = Integer(
        10 * 1024 * 1024, help="Size in bytes at which the log of a container is rotated. Default: 10485760 (10 MiB)."
    ).tag(config=True)
    log_max_files = Integer(5, help="Number of log files to keep for each container. Default: 5.").tag(config=True)
    refresh_interval = Float(
        20.0, help="Seconds between updates of configMap, secret, token and downward API volumes. Default: 20."
    ).tag(config=True)

    aliases = {
        **Application.aliases,
        **{name.replace("_", "-"): f"NodeApp.{name}" for name in SETTINGS},
        "name": "NodeApp.node_name",
    }

    @default("log_level")
    def _log_level(self) -> int:
        return logging.INFO

    @default("node_name")
    def _node_name(self) -> str:
        return hardware.default_name()

    @default("volumes")
    def _volumes(self) -> str:
        return str(Path(self.root).absolute().parent / "volumes")

    @default("image_cache")
    def _image_cache(self) -> str:
        return str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kf-spawner")

    def start(self) -> None:
        level = self.log_level
        assert isinstance(level, int | str)
        logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
        missing = [
            name
            for name in ("kubeconfig", "root", "images", "tls_cert", "tls_key", "client_ca")
            if not getattr(self, name)
        ]
        if missing:
            self._refuse("; ".join(f"--{name.replace('_', '-')} is required" for name in missing))
        try:
            config = load_config(self.kubeconfig)
            provisioner = load_config(self.provisioner_kubeconfig) if self.provisioner_kubeconfig else None
            asyncio.run(self._run(config, provisioner))
        except (ConfigError, AlreadyRunning) as error:
            self._refuse(str(error))

    def _refuse(self, message: str) -> None:
        log.error("%s", message)
        self.exit(2)

    async def _run(self, config: ClusterConfig, provisioner: ClusterConfig | None) -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        root = Path(self.root).absolute()
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(node_lock(root))
            log.info("starting in %s", root)
            ready = asyncio.Event()
            if self.healthz_port:
                await stack.enter_async_context(Health(self.host, self.healthz_port, ready=ready.is_set))
            client = await stack.enter_async_context(Client(config, user_agent=USER_AGENT))
            starting = asyncio.create_task(self._start(stack, client, root))
            stopped = asyncio.create_task(stopping.wait())
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                await cancel(starting)
                if self.stop_pods:  # no worker exists yet that could do it
                    await end_pods(root, pods_on_disk(root), grace=self.stop_grace, interrupt=True)
                return
            agent, registration = starting.result()
            ready.set()
            await self._until(stopped, registration, provisioner)
            log.info("stopping")
            ready.clear()
            if self.stop_pods:
                await agent.stop_pods()
            await registration.sign_off()

    async def _start(
        self, stack: contextlib.AsyncExitStack, client: Client, root: Path
    ) -> tuple[Agent, Registration]:
        """Starts everything that the node needs to run pods; `stack` stops it again."""
        context = await self._context(stack, client, root)
        gpus = await hardware.gpus()
        context.devices.add([gpu.index for gpu in gpus])
        whole = capacity(
            cpus=hardware.cpus(), memory=hardware.memory(), disk=hardware.disk(root), pods=self.max_pods, gpus=gpus
        )
        usable = allocatable(whole, reserved_memory=int(quantities.parse(self.reserved_memory)))
        agent = Agent(context, name=self.node_name, allocatable=usable)
        tls = ServerTls(
            certificate=Path(self.tls_cert), key=Path(self.tls_key), client_authority=Path(self.client_ca)
        )
        server = NodeServer(Access(agent, root), tls=tls, host=self.host, port=self.port)
        await stack.enter_async_context(server)
        registration = Registration(
            client,
            name=self.node_name,
            host_ip=self.host,
            port=server.port,
            labels=node_labels(self.node_name, gpus),
            capacity=whole,
            allocatable=usable,
            node_info=hardware.node_info(version=__version__, kubelet_version=KUBELET_VERSION),
            unavailable=context.images.unavailable,
        )
        await registration.register()
        await stack.enter_async_context(agent)
        log.info("node %s is ready, its kubelet API on %s:%d", self.node_name, self.host, server.port)
        return agent, registration

    async def _context(self, stack: contextlib.AsyncExitStack, client: Client, root: Path) -> Context:
        settings = Settings(
            root=root,
            host_ip=self.host,
            orphan_grace=self.orphan_grace,
            stop_grace=self.stop_grace,
            log_max_bytes=self.log_max_bytes,
            log_max_files=self.log_max_files,
            backoff_first=self.backoff_first,
            backoff_most=self.backoff_most,
            refresh_interval=self.refresh_interval,
        )
        cache = Path(self.image_cache)
        for folder in (cache, Path(self.volumes)):
            folder.mkdir(parents=True, exist_ok=True)
        addresses = Addresses(client, root)
        stack.push_async_callback(addresses.close)
        return Context(
            settings=settings,
            client=client,
            events=await stack.enter_async_context(EventRecorder(client, component="kubelet")),
            images=ImageStore(Path(self.images), cache, Path(self.package)),
            volumes=VolumeManager(client, root, Path(self.volumes).absolute(), self.node_name),
            addresses=addresses,
            devices=Devices(root),
            http=await stack.enter_async_context(
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0))
            ),
        )

    async def _until(
        self, stopped: asyncio.Task[Any], registration: Registration, provisioner: ClusterConfig | None
    ) -> None:
        """Waits for the signal to stop. An error of a task ends the process; the pods continue without it."""
        tasks: set[asyncio.Task[Any]] = {stopped, asyncio.create_task(registration.keep(), name="registration")}
        if provisioner is not None:
            tasks.add(asyncio.create_task(self._provide(provisioner), name="provisioner"))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await cancel(*tasks)

    async def _provide(self, config: ClusterConfig) -> None:
        async with Client(config, user_agent=USER_AGENT) as client:
            await run_provisioner(client, Path(self.volumes))
