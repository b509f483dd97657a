"""`kf-spawner doctor`: settings, signals, and the report on the terminal."""

import asyncio
import contextlib
import dataclasses
import json
import signal
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

from traitlets import Bool, Float, Unicode
from traitlets.config import Application

from kf_spawner import __version__
from kf_spawner.kube import Client, ConfigError, load_config
from kf_spawner.kube.config import ClusterConfig

from .findings import CHECKS, Severity
from .prober import Patience
from .run import Options, Report, Run

INTERRUPTED = 130
ALWAYS = {"api", "rights", "leftovers"}
"""Checks that every account may make."""


class Doctor(Application):
    """Exit code 0: no error found (there may be warnings). 1: errors. 2: cannot begin. 130: interrupted."""

    name = "kf-spawner doctor"
    version = __version__
    description = (
        "Say why a cluster does not run the platform, before and after it is installed. Leaves nothing behind."
    )
    examples = "kf-spawner doctor --kubeconfig FILE --namespace kf-spawner"

    kubeconfig = Unicode(
        "",
        help="Path of the kubeconfig. Default: `$KUBECONFIG`, else the pod's own account, else `~/.kube/config`.",
    ).tag(config=True)
    namespace = Unicode(
        "",
        help="The platform's namespace; it need not exist yet. Default: the namespace of the kubeconfig's context.",
    ).tag(config=True)
    probe_namespace = Unicode(
        "", help="Existing namespace in which to start the probe pods. Default: a new one, deleted at the end."
    ).tag(config=True)
    image = Unicode(
        f"kf-spawner/hub:{__version__}",
        help="""Image of the probe pods; it must have `python3`. Default: kf-spawner/hub:VERSION, the hub's image of
        this version.""",
    ).tag(config=True)
    images = Unicode(
        "",
        help="""More images to try to pull, separated by commas. A notebook image has several GB: name it together
        with a longer `timeout`. Default: none.""",
    ).tag(config=True)
    storage_class = Unicode("", help="Storage class of the home volumes. Default: the cluster's default class.").tag(
        config=True
    )
    pull_secrets = Unicode(
        "", help="Pull secrets of the probe namespace for the images, separated by commas. Default: none."
    ).tag(config=True)
    tolerations = Unicode(
        "[]",
        help="""Tolerations of the probe pods, a JSON list as in a pod's manifest: those of the users' servers. With
        `[{"key": "hub.jupyter.org/dedicated", "value": "user"}]`, nodes that have this taint count.
        Default: none.""",
    ).tag(config=True)
    skip = Unicode(
        "",
        help=f"""Checks to skip, separated by commas, of: {", ".join(CHECKS)}. Without `pod` no pod is started.
        Default: none.""",
    ).tag(config=True)
    timeout = Float(
        300.0,
        help="""Seconds that a probe pod may take, including the pull of its image. An image of `images` that is then
        still being pulled is a warning. Default: 300.""",
    ).tag(config=True)
    patience = Float(
        30.0,
        help="""Seconds that a fault of a probe pod may last before it is reported: a network plugin may have just
        started. Default: 30.""",
    ).tag(config=True)
    as_json = Bool(False, help="Print JSON, for programs. Default: false.").tag(config=True)
    aliases = {
        "kubeconfig": "Doctor.kubeconfig",
        "namespace": "Doctor.namespace",
        "probe-namespace": "Doctor.probe_namespace",
        "image": "Doctor.image",
        "images": "Doctor.images",
        "storage-class": "Doctor.storage_class",
        "pull-secrets": "Doctor.pull_secrets",
        "tolerations": "Doctor.tolerations",
        "skip": "Doctor.skip",
        "timeout": "Doctor.timeout",
        "patience": "Doctor.patience",
        "log-level": "Application.log_level",
    }
    flags = {"json": ({"Doctor": {"as_json": True}}, "print JSON")}

    def start(self) -> None:
        if self.extra_args:
            self._fail(f"unknown argument {self.extra_args[0]!r}: 'kf-spawner doctor --help' lists the arguments")
        unknown = _names(self.skip).difference(CHECKS)
        if unknown:
            self._fail(f"--skip: there is no check {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}")
        tolerations = self.pod_tolerations()
        try:
            config = load_config(self.kubeconfig or None)
            self._report = Report()
            report = asyncio.run(self._examine(config, tolerations))
        except ConfigError as error:
            self._fail(str(error))
        except asyncio.CancelledError:
            self._end_early()
        if report.passed_over and not report.findings and not made(report, _names(self.skip)) - ALWAYS:
            self._fail(f"this account may read nothing: {next(iter(report.passed_over.values()))}")
        print(as_json(report) if self.as_json else as_text(report), end="")
        if not self.as_json:
            print(f"{self.name}: {summary(report, skipped=_names(self.skip))}", file=sys.stderr)
        self.exit(0 if report.healthy else 1)

    def _fail(self, message: str) -> NoReturn:
        print(f"{self.name}: {message}", file=sys.stderr)
        sys.exit(2)

    def _end_early(self) -> NoReturn:
        """Reports what an unfinished run left on the cluster."""
        left = [finding for finding in self._report.findings if finding.check == "leftovers"]
        print(as_text(Report(findings=left)), end="", file=sys.stderr)
        sys.exit(INTERRUPTED)

    def pod_tolerations(self) -> tuple[dict[str, Any], ...]:
        try:
            found = json.loads(self.tolerations)
        except ValueError:
            found = None
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            self._fail(f"--tolerations: {self.tolerations!r} is not a JSON list of tolerations")
        return tuple(found)

    async def _examine(self, config: ClusterConfig, tolerations: tuple[dict[str, Any], ...]) -> Report:
        options = Options(
            namespace=self.namespace or config.namespace,
            place=self.probe_namespace,
            image=self.image,
            images=tuple(sorted(_names(self.images))),
            storage_class=self.storage_class,
            pull_secrets=tuple(sorted(_names(self.pull_secrets))),
            tolerations=tolerations,
            skip=_names(self.skip),
            patience=Patience(timeout=self.timeout, trouble=self.patience),
        )
        task = asyncio.current_task()
        assert task is not None
        with _once(task):
            async with Client(config, user_agent=f"kf-spawner-doctor/{__version__}") as client:
                run = Run(client, options)
                self._report = run.report
                return await run.execute()


def as_text(report: Report) -> str:
    """Four lines a finding, nothing where there is none."""
    lines = []
    for finding in report.findings:
        lines += [f"{finding.severity}: {finding.check}: {finding.cause}", f"  do:   {finding.remedy}"]
        lines += [f"  more: {finding.command}", ""]
    return "".join(f"{line}\n" for line in lines)


def as_json(report: Report) -> str:
    """{healthy, installed, findings: [{check, severity, cause, remedy, command}], passed_over: {check: reason}}."""
    body = {
        "healthy": report.healthy,
        "installed": report.installed,
        "findings": [dataclasses.asdict(finding) for finding in report.findings],
        "passed_over": report.passed_over,
    }
    return json.dumps(body, indent=2) + "\n"


def made(report: Report, skipped: frozenset[str]) -> set[str]:
    """The checks that were made."""
    return CHECKS.keys() - report.passed_over.keys() - skipped


def summary(report: Report, *, skipped: frozenset[str]) -> str:
    """What was checked, and what was not and why."""
    errors, warnings = (
        sum(finding.severity == each for finding in report.findings) for each in (Severity.ERROR, Severity.WARNING)
    )
    parts = [f"{errors} errors, {warnings} warnings in {len(made(report, skipped))} checks"]
    if not report.installed:
        parts.append("the platform is not installed in that namespace")
    parts += [f"not checked: {check} ({why})" for check, why in report.passed_over.items()]
    return "; ".join(parts)


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())


@contextlib.contextmanager
def _once(task: asyncio.Task[Any]) -> Iterator[None]:
    """The first SIGINT or SIGTERM cancels; further ones do not stop the clean-up."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def cancel() -> None:
        for number in numbers:
            loop.add_signal_handler(number, lambda: None)
        task.cancel()

    for number in numbers:
        loop.add_signal_handler(number, cancel)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
