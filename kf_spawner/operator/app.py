"""The operator as a program: settings, signals, and the parts put together."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from collections.abc import Awaitable

from traitlets import Bool, Float, Integer, List, Unicode, default
from traitlets.config import Application

from kf_spawner import __version__
from kf_spawner.kube import Client, ConfigError, EventRecorder, load_config
from kf_spawner.kube.config import ClusterConfig
from kf_spawner.tfjob.names import OPERATOR_NAME
from kf_spawner.tfjob.podgroup import Gang

from . import logs
from .controller import Controller
from .leader import Leader, LeadershipLost
from .metrics import Metrics
from .web import WebServer

log = logging.getLogger(__name__)

CONNECTIONS = 32
RENEW = "it is read again until it is renewed; a pod gets another one when it is deleted and created again"


class OperatorApp(Application):
    """Runs TFJobs: makes their pods and services, follows their status, cleans up."""

    name = "kf-spawner-operator"
    version = __version__
    description = __doc__

    kubeconfig = Unicode(
        "",
        help="Path of the kubeconfig. Default: `$KUBECONFIG`, else the pod's own account, else `~/.kube/config`.",
    ).tag(config=True)
    namespace = Unicode(
        "", help="The only namespace whose TFJobs are run. Default: none, and TFJobs of all namespaces are run."
    ).tag(config=True)
    workers = Integer(
        16, help="Number of jobs that are reconciled at the same time, each by one worker at most. Default: 16."
    ).tag(config=True)
    cluster_domain = Unicode(
        help="""Domain that is appended to the hosts in TF_CONFIG, such as cluster.local. Default:
        `$CUSTOM_CLUSTER_DOMAIN`, or none."""
    ).tag(config=True)
    metrics_host = Unicode(
        "127.0.0.1", help="Address of the HTTP server for /metrics, /healthz and /readyz. Default: 127.0.0.1."
    ).tag(config=True)
    metrics_port = Integer(8085, help="TCP port of that server; 0 takes a free one and logs it. Default: 8085.").tag(
        config=True
    )
    gang_scheduler = Unicode(
        "",
        help="""Scheduler that starts all pods of a job at once, by means of a PodGroup for each job: `volcano`, or
        the name of a coscheduling scheduler of scheduler-plugins. Default: none.""",
    ).tag(config=True)
    claim_classes = List(
        Unicode(),
        help="""Storage classes that volumeClaimTemplates and ephemeral volumes of jobs may name in storageClassName.
        The chart gives the class of home volumes. Default: none, so claims leave it out and get the cluster's default
        class.""",
    ).tag(config=True)
    leader_elect = Bool(
        False,
        help="""Act only while holding a Lease, so that several operators can run. An operator that loses the Lease
        ends. Default: false.""",
    ).tag(config=True)
    lease_name = Unicode("kf-spawner-operator", help="Name of the Lease. Default: kf-spawner-operator.").tag(
        config=True
    )
    lease_namespace = Unicode(
        help="Namespace of the Lease. Default: the namespace of the kubeconfig's context or of the account."
    ).tag(config=True)
    lease_seconds = Float(
        15.0,
        help="""Seconds without renewal after which another operator takes over. The holder renews every third of
        them, and stops acting after two thirds without success. Default: 15.""",
    ).tag(config=True)
    identity = Unicode(help="Name of the Lease's holder. Default: host name and process id.").tag(config=True)
    log_json = Bool(True, help="Whether log lines are JSON objects; false: text. Default: true.").tag(config=True)

    aliases = {
        **Application.aliases,
        "kubeconfig": "OperatorApp.kubeconfig",
        "namespace": "OperatorApp.namespace",
        "workers": "OperatorApp.workers",
        "metrics-host": "OperatorApp.metrics_host",
        "metrics-port": "OperatorApp.metrics_port",
        "gang-scheduler-name": "OperatorApp.gang_scheduler",
        "log-json": "OperatorApp.log_json",
    }
    flags = {
        **Application.flags,
        "leader-elect": ({"OperatorApp": {"leader_elect": True}}, leader_elect.help),
    }

    @default("log_level")
    def _log_level(self) -> int:
        return logging.INFO

    @default("cluster_domain")
    def _cluster_domain(self) -> str:
        return os.environ.get("CUSTOM_CLUSTER_DOMAIN", "")

    @default("identity")
    def _identity(self) -> str:
        return f"{socket.gethostname()}_{os.getpid()}"

    def start(self) -> None:
        level = self.log_level
        assert isinstance(level, int | str)
        logs.set_up(level, as_json=self.log_json)
        try:
            config = load_config(self.kubeconfig or None)
        except ConfigError as error:
            log.error("%s", error)
            self.exit(1)
        try:
            asyncio.run(self._run(config))
        except LeadershipLost as error:
            log.error("%s; this process ends", error)
            self.exit(1)

    async def _run(self, config: ClusterConfig) -> None:
        gc.collect()
        gc.freeze()  # a search for garbage would walk what the start has left, and hold the loop meanwhile
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        namespace = self.namespace or None
        metrics = Metrics()
        async with contextlib.AsyncExitStack() as stack:
            agent = f"kf-spawner-operator/{__version__}"
            leader = await self._leader(config, agent, stack) if self.leader_elect else None
            client = Client(
                config,
                user_agent=agent,
                connections=CONNECTIONS,
                before_write=leader.check if leader else lambda: None,
            )
            await stack.enter_async_context(client)
            recorder = await stack.enter_async_context(EventRecorder(client, component=OPERATOR_NAME))
            controller = await stack.enter_async_context(
                Controller(
                    client,
                    recorder,
                    metrics,
                    namespace=namespace,
                    workers=self.workers,
                    cluster_domain=self.cluster_domain,
                    gang=Gang(self.gang_scheduler) if self.gang_scheduler else None,
                    claim_classes=self.claim_classes,
                )
            )

            def why_unready() -> str:
                if client.is_refused or (leader and leader.is_refused):
                    return f"the API server does not accept {config.token.source}: {RENEW}"
                return "" if controller.is_synced else "the operator has not seen the cluster's state yet"

            server = WebServer(self.metrics_host, self.metrics_port, metrics=metrics, why_unready=why_unready)
            await stack.enter_async_context(server)
            log.info("serving on http://%s:%d", *server.address)
            if await _before(controller.synced(), stopping) and await _before(self._lead(leader, metrics), stopping):
                log.info("acting")
                controller.start()
                await _before(leader.lost() if leader else stopping.wait(), stopping)
            log.info("stopping")

    async def _leader(self, config: ClusterConfig, agent: str, stack: contextlib.AsyncExitStack) -> Leader:
        """Entered first, so that the Lease is released after everything else has ended."""
        timeout = self.lease_seconds / 3
        client = Client(config, user_agent=f"{agent} leader", connections=1, timeout=timeout)
        leader = Leader(
            await stack.enter_async_context(client),
            name=self.lease_name,
            namespace=self.lease_namespace or config.namespace,
            identity=self.identity,
            duration=self.lease_seconds,
        )
        stack.push_async_callback(leader.release)
        return leader

    async def _lead(self, leader: Leader | None, metrics: Metrics) -> None:
        if leader:
            await leader.acquire()
        metrics.leader.set(1)


async def _before(work: Awaitable[object], stopping: asyncio.Event) -> bool:
    """Runs `work` until it ends or `stopping` is set; True if it ended. What it raises is raised."""
    task = asyncio.ensure_future(work)
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
    for each in (task, stop):
        if not each.done():
            each.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await each
    if task.cancelled():
        return False
    task.result()
    return True
