"""`kf-spawner up`: starts everything in the foreground, prints the link, stops everything at the end."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TextIO

from traitlets import Bool, Integer, Unicode

from kf_spawner.installed_files import shared_files
from kf_spawner.kube import ConfigError, load_config
from kf_spawner.localcluster.controlplane.ports import PortError, allocate, hold
from kf_spawner.localcluster.supervisor import ComponentFailed, ProcessSpec, Supervisor, reap
from kf_spawner.loopback import is_loopback

from . import components, local, machine
from .base import HomeApplication
from .bootstrap import SetUpError, prepare_named
from .greeting import ADMIN, greeting
from .home import HomeError
from .ready import LOOPBACK

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Up(HomeApplication):
    """Owns the order of the steps; each step is in another module."""

    name = "kf-spawner up"
    description = "Start the platform on this machine and print its link. Ctrl-C stops all of it."
    examples = "kf-spawner up --home ~/kf --port 8000"

    port = Integer(8000, min=1, max=65535, help="TCP port of the door. Default: 8000.").tag(config=True)
    host = Unicode(
        "127.0.0.1",
        help="""Address that the door listens on. One that other machines can reach requires a password file.
        Default: 127.0.0.1.""",
    ).tag(config=True)
    password_file = Unicode(
        "",
        help="""File (mode 0600) that holds the password of the hub's users. Default: none, and an empty password
        logs in.""",
    ).tag(config=True)
    subdomains = Bool(
        False,
        help="""Whether each user's servers have a domain of their own, such as alice.localhost: a page of one user's
        server then cannot act with another's login. Browsers find these names; they are for this machine alone.
        Default: false, and all have one origin.""",
    ).tag(config=True)
    kubeconfig = Unicode(
        "",
        help="""Kubeconfig file of an administrator of a cluster to use. `KUBECONFIG` is never used. Default: none,
        and a local cluster is started.""",
    ).tag(config=True)
    aliases = {
        **HomeApplication.aliases,
        "port": "Up.port",
        "host": "Up.host",
        "password-file": "Up.password_file",
        "kubeconfig": "Up.kubeconfig",
    }
    flags = {"subdomains": ({"Up": {"subdomains": True}}, subdomains.help)}

    def start(self) -> None:
        self._check()
        home = self.home
        try:
            home.make()
            with home.locked():
                asyncio.run(self._run())
        except (HomeError, ComponentFailed, PortError, ConfigError, SetUpError) as error:
            self.fail(str(error))
        except OSError as error:
            self.fail(machine.write_problem(error, home.root))

    def _check(self) -> None:
        """Refuses at once what would fail later."""
        if self.extra_args:
            self.fail(f"unknown argument {self.extra_args[0]!r}: 'kf-spawner up --help' lists all arguments", 2)
        by_proxy = os.environ.get("KF_AUTHENTICATOR") == "iap"  # which has no password
        if not (self.password_file or by_proxy or is_loopback(self.host)):
            self.fail(
                f"others can reach --host {self.host} and could log in as {ADMIN} with an empty password: "
                "name a password with --password-file FILE (mode 0600)",
                2,
            )
        if self.subdomains and self.host != LOOPBACK:
            self.fail(
                f"--subdomains needs --host {LOOPBACK}, not {self.host}: other machines do not find names below "
                "localhost. For users on other machines, install into a cluster (docs/user-domains.md)",
                2,
            )
        if self.password_file and (problem := machine.secret_file_problem(Path(self.password_file))):
            self.fail(f"--password-file {self.password_file}: {problem}", 2)
        if problem := machine.port_problem(self.host, self.port):
            self.fail(problem)
        if self.kubeconfig:
            try:
                load_config(self.kubeconfig)
            except ConfigError as error:
                self.fail(str(error), 2)

    async def _run(self) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, stop.set)
        home = self.home
        killed = await reap(home.components)
        if killed:
            say(f"ended what a killed kf-spawner had left: {', '.join(killed)}")
        names = (*components.PORTS, *local.PORTS)
        settings = components.Settings(
            home=home,
            host=self.host,
            port=self.port,
            ports=allocate(home.root, names, replace_busy=True),
            share=shared_files(),
            password_file=Path(self.password_file).resolve() if self.password_file else None,
            subdomains=self.subdomains,
        )
        facts = {"hub": f"{settings.url}/hub", "kubeconfig": str(self._kubeconfig()), "ready": False}
        home.announce(facts)
        try:
            with hold(settings.ports.values()):
                prepared = await unless(stop, self._prepare(settings))
                if prepared is not None:
                    supervisor, kubectl = prepared
                    await self._serve(supervisor, kubectl, stop, facts)
        finally:
            home.retract()

    def _kubeconfig(self) -> Path:
        return Path(self.kubeconfig).resolve() if self.kubeconfig else self.home.kubeconfig

    async def _prepare(self, settings: components.Settings) -> tuple[Supervisor, Path | None]:
        """Makes what must be there before the first process starts. Also returns the kubectl of a local cluster."""
        if self.kubeconfig:
            kubeconfig = self._kubeconfig()
            await prepare_named(kubeconfig)
            specs: list[ProcessSpec] = []
            kubectl = None
            hub_config = operator_config = dashboard_config = door_config = kubeconfig
        else:
            cluster = await local.prepare(settings, user=ADMIN, progress=say_progress)
            specs, kubectl = cluster.specs, cluster.kubectl
            hub_config, operator_config = cluster.hub_kubeconfig, cluster.operator_kubeconfig
            dashboard_config, door_config = cluster.dashboard_kubeconfig, cluster.door_kubeconfig
        token = settings.home.secret("proxy-token")
        door_token = settings.home.secret("door-token")
        dashboard_token = settings.home.secret("dashboard-token")
        after = ("kube-apiserver",) if specs else ()
        specs = [
            *specs,
            components.operator(settings, kubeconfig=operator_config, after=after),
            components.proxy(settings, token=token, door_token=door_token),
            components.hub(
                settings,
                kubeconfig=hub_config,
                token=token,
                dashboard_token=dashboard_token,
                by_the_door=bool(self.kubeconfig),
            ),
            components.door(settings, kubeconfig=door_config, token=door_token, after=after),
        ]
        others = tuple(spec.name for spec in specs)
        specs.append(components.dashboard(settings, kubeconfig=dashboard_config, token=dashboard_token, after=others))
        supervisor = Supervisor(specs, run_dir=settings.home.components, log_dir=settings.home.logs, say=say)
        return supervisor, kubectl

    async def _serve(
        self, supervisor: Supervisor, kubectl: Path | None, stop: asyncio.Event, facts: dict[str, Any]
    ) -> None:
        try:
            say("starting")
            if await unless(stop, supervisor.start(), default=False) is False:
                return
            self.home.announce({**facts, "ready": True})
            self._greet(facts, kubectl)
            await unless(stop, supervisor.failure())
        finally:
            say("stopping")
            await supervisor.stop()
            say("stopped")

    def _greet(self, facts: dict[str, Any], kubectl: Path | None) -> None:
        lines = greeting(
            hub=facts["hub"],
            kubeconfig=facts["kubeconfig"],
            kubectl=None if shutil.which("kubectl") else kubectl,
            authenticator=os.environ.get("KF_AUTHENTICATOR", ""),
            password_file=self.password_file,
            people=machine.other_people(),
            account="" if self.kubeconfig else machine.own_account(),
        )
        for line in lines:
            say(line, sys.stdout)


def say(sentence: str, file: TextIO | None = None) -> None:
    """Prints to the terminal, by default stderr. A closed terminal must not keep us from stopping what we started."""
    with contextlib.suppress(OSError):
        print(f"{_fresh_line()}{sentence}", file=file or sys.stderr, flush=True)


def say_progress(sentence: str) -> None:
    """Shows progress: on a terminal in one line that changes, else line by line."""
    if not sys.stderr.isatty():
        say(sentence)
        return
    width = shutil.get_terminal_size().columns
    with contextlib.suppress(OSError):
        print(f"{_fresh_line()}{sentence[: width - 1]}", end="", file=sys.stderr, flush=True)


def _fresh_line() -> str:
    """Removes a line of progress from the terminal."""
    return "\r\x1b[K" if sys.stderr.isatty() else ""


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, Any], default: Any = None) -> Any:
    """The result of `work`, or `default` when `stop` comes first; `work` is then cancelled and over."""
    task = asyncio.ensure_future(work)
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else default
    finally:
        for waiting in (task, stopped):
            if not waiting.done():
                waiting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await waiting
