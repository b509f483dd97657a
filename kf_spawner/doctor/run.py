"""Asks the API server what the checks want to know, and puts their findings together. Decides nothing itself."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from kf_spawner.k8s import times
from kf_spawner.k8s.resources import Resource
from kf_spawner.kube import ApiError, Client, Forbidden, NotFound
from kf_spawner.kube.resources import (
    CLAIMS,
    CRDS,
    DAEMONSETS,
    DEPLOYMENTS,
    EVENTS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    RESOURCEQUOTAS,
    STATEFULSETS,
    STORAGECLASSES,
)
from kf_spawner.spawner.manifests import USER_ANNOTATION
from kf_spawner.tfjob.names import TFJOBS

from . import api, clock, dns, domains, nodes, platform, probe, quota, storage, tfjobs
from .findings import CHECKS, Finding, Severity
from .prober import Patience, Prober

log = logging.getLogger(__name__)

MANIFESTS = Path(__file__).resolve().parent.parent / "manifests"
NODE_LEASES = "kube-node-lease"
PROBES = ("pod", "network", "dns", "claim", "images")
_WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_MAY = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True)
class Options:
    """What to look at. `namespace`: the platform's; `place`: an existing one for probes, or empty for a new one."""

    namespace: str
    image: str
    place: str = ""
    images: tuple[str, ...] = ()
    storage_class: str = ""
    pull_secrets: tuple[str, ...] = ()
    tolerations: tuple[dict[str, Any], ...] = ()
    skip: frozenset[str] = frozenset()
    patience: Patience = field(default_factory=lambda: Patience(timeout=300.0, trouble=30.0))


@dataclass
class Report:
    """`passed_over`: checks that were not made, with the reason. `installed`: the platform has workloads."""

    findings: list[Finding] = field(default_factory=list)
    passed_over: dict[str, str] = field(default_factory=dict)
    installed: bool = False

    @property
    def healthy(self) -> bool:
        return all(finding.severity != Severity.ERROR for finding in self.findings)


class Run:
    """One run of the checks on one cluster; `report` grows meanwhile."""

    def __init__(self, client: Client, options: Options):
        self.report = Report()
        self._client, self._options = client, options
        self._account = ""
        self._skew = timedelta()

    async def execute(self) -> Report:
        """All checks but those to skip. The findings come in the order of CHECKS."""
        if await self._reach():
            await self._look_around()
            await self._probe()
        order = list(CHECKS)
        found = [finding for finding in self.report.findings if finding.check not in self._options.skip]
        self.report.findings = sorted(dict.fromkeys(found), key=lambda finding: order.index(finding.check))
        return self.report

    def _now(self) -> datetime:
        return datetime.now(UTC) - self._skew

    def _add(self, findings: Iterable[Finding]) -> None:
        self.report.findings += findings

    def _pass_over(self, checks: Iterable[str], why: str) -> None:
        for check in checks:
            if check not in self._options.skip:
                self.report.passed_over.setdefault(check, why)

    @contextlib.asynccontextmanager
    async def _looking(self, *checks: str) -> AsyncIterator[None]:
        """A check without the right to read is not a finding, but is named."""
        try:
            yield
        except Forbidden as error:
            self._pass_over(checks, error.message)
        except ApiError as error:
            self._add(api.no_answer(error.status, error.message))
            self._pass_over(checks, error.message)

    async def _reach(self) -> bool:
        try:
            self._add(api.version(await self._client.request("GET", "/version")))
            before = datetime.now(UTC)
            body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
            answer = await self._client.request("POST", _WHO, body=body)
        except ApiError as error:
            self._add(api.no_answer(error.status, error.message))
            return False
        except ValueError as error:  # no JSON: a login page, a load balancer
            self._add(api.no_answer(404, f"it answers, but not as Kubernetes does ({error})"))
            return False
        self._account = answer["status"]["userInfo"].get("username", "")
        made = answer["metadata"].get("creationTimestamp")
        if made:
            between = before + (datetime.now(UTC) - before) / 2
            self._skew = between - times.parse(made) - timedelta(seconds=0.5)  # its time has whole seconds
            self._add(clock.ours(self._skew.total_seconds()))
        return True

    async def _look_around(self) -> None:
        looks = {
            "clock": self._clock,
            "rights": self._rights,
            "nodes": self._nodes,
            "storage": self._storage,
            "quota": self._quota,
        }
        for check, look in looks.items():
            if check not in self._options.skip:
                async with self._looking(check):
                    await look()
        if not {"platform", "operator", "crd", "domains"} <= self._options.skip:
            async with self._looking("platform", "operator", "crd", "domains"):
                await self._platform()

    async def _clock(self) -> None:
        leases = await self._list(LEASES, NODE_LEASES)
        self._add(clock.of_nodes(leases))

    async def _rights(self) -> None:
        if await self._may(api.EVERYTHING):
            return
        wanted = api.to_install()
        if not all([await self._may(right) for right in api.GIVE_AWAY]):
            wanted += api.to_grant(_roles())
        if not await self._is_there(self._options.namespace):
            wanted.append(api.MAKE_NAMESPACE)
        allowed = await asyncio.gather(*(self._may(right) for right in wanted))
        missing = [right for right, yes in zip(wanted, allowed, strict=True) if not yes]
        self._add(api.rights(missing, account=self._account, namespace=self._options.namespace))

    async def _is_there(self, namespace: str) -> bool:
        try:
            await self._client.get(NAMESPACES, namespace)
        except NotFound:
            return False
        except Forbidden:
            pass  # without this right the account creates no namespaces: this one exists already
        return True

    async def _may(self, right: api.Right, *, namespace: str | None = None) -> bool:
        place = self._options.namespace if namespace is None else namespace
        spec = {"resourceAttributes": right.attributes(place)}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
        return bool((await self._client.request("POST", _MAY, body=body))["status"]["allowed"])

    async def _nodes(self) -> None:
        self._add(nodes.nodes(await self._list(NODES), tolerations=self._options.tolerations))

    async def _storage(self) -> None:
        self._add(storage.classes(await self._list(STORAGECLASSES), wanted=self._options.storage_class))

    async def _quota(self) -> None:
        """All users' namespaces if we may see them, else only the platform's."""
        try:
            users = await self._users_namespaces()
            quotas = await self._list(RESOURCEQUOTAS)
        except Forbidden:
            users, quotas = set(), await self._list(RESOURCEQUOTAS, self._options.namespace)
        self._add(quota.full(quotas, platform=self._options.namespace, users=users))

    async def _users_namespaces(self) -> set[str]:
        return {
            item["metadata"]["name"]
            for item in await self._list(NAMESPACES)
            if USER_ANNOTATION in (item["metadata"].get("annotations") or {})
        }

    async def _platform(self) -> None:
        place = self._options.namespace
        kinds = (DEPLOYMENTS, STATEFULSETS, DAEMONSETS)
        lists = await asyncio.gather(*(self._list(kind, place, selector=platform.SELECTOR) for kind in kinds))
        workloads = [item for items in lists for item in items]
        self.report.installed = bool(workloads)
        if workloads and "platform" not in self._options.skip:
            async with self._looking("platform"):
                await self._pods(workloads)
        if "crd" not in self._options.skip:
            async with self._looking("crd"):
                self._add(tfjobs.crd(await self._crd(), ours=_crd(), platform=self.report.installed))
        if "operator" not in self._options.skip:
            async with self._looking("operator"):
                await self._operator(workloads)
        if workloads and "domains" not in self._options.skip:
            async with self._looking("domains"):
                self._add(domains.shared_origin(workloads, users=len(await self._users_namespaces())))

    async def _pods(self, workloads: list[dict[str, Any]]) -> None:
        place = self._options.namespace
        found = await self._list(PODS, place, selector=platform.SELECTOR)
        pods = [pod for pod in found if platform.component(pod) != "doctor"]
        events, claims = await asyncio.gather(self._list(EVENTS, place), self._list(CLAIMS, place))
        self._add(platform.workloads(workloads, events))
        self._add(platform.scaled_to_nothing(workloads))
        self._add(platform.pods(pods, events, now=self._now()))
        self._add(platform.claims(claims, events, used=platform.claims_of(pods)))

    async def _crd(self) -> dict[str, Any] | None:
        try:
            return await self._client.get(CRDS, tfjobs.CRD)
        except NotFound:
            return None

    async def _operator(self, workloads: list[dict[str, Any]]) -> None:
        try:
            lease = await self._client.get(LEASES, tfjobs.LEASE, self._options.namespace)
        except NotFound:
            lease = None
        try:
            jobs = await self._list(TFJOBS)
        except ApiError as error:
            if error.status not in (404, 429):  # 429: the definition has just been changed
                raise
            jobs = []
        operators = [item for item in workloads if platform.component(item) == "operator"]
        self._add(tfjobs.operator(operators, lease, jobs, platform=self.report.installed, now=self._now()))

    async def _probe(self) -> None:
        wanted = [check for check in PROBES if check not in self._options.skip]
        if "pod" in self._options.skip or not wanted:
            return
        if self._has_error("nodes"):
            self._pass_over(wanted, "no node takes pods")
            return
        prober = Prober(self._client, patience=self._options.patience, now=self._now)
        async with self._looking(*wanted):
            lacking = [right for right in api.to_probe(self._options.place) if not await self._may_there(right)]
            if lacking:
                self._pass_over(wanted, f"this account may not {', '.join(map(str, lacking))}")
                return
            dns_pods = await self._dns_pods()
            try:
                async with prober.place(self._options.place) as place:
                    self._add(await prober.ask_all(self._probes(place, prober.run), dns_pods=dns_pods))
            finally:
                self._add(prober.leftovers)

    async def _may_there(self, right: api.Right) -> bool:
        return await self._may(right, namespace=self._options.place)

    def _probes(self, place: str, run: str) -> list[probe.Probe]:
        options = self._options
        terms = probe.Terms(place, run, pull_secrets=options.pull_secrets, tolerations=options.tolerations)
        made = [probe.of_network(terms, image=options.image)]
        if self._has_error("storage"):
            self._pass_over(["claim"], "there is no storage class for it")
        elif "claim" not in options.skip:
            made.append(probe.of_claim(terms, image=options.image, storage_class=options.storage_class))
        if "images" not in options.skip:
            made += [probe.of_image(terms, number=number, image=image) for number, image in enumerate(options.images)]
        return made

    async def _dns_pods(self) -> list[dict[str, Any]] | None:
        try:
            return await self._list(PODS, dns.PLACE, selector=dns.SELECTOR)
        except ApiError:
            return None

    def _has_error(self, check: str) -> bool:
        return any(f.check == check and f.severity == Severity.ERROR for f in self.report.findings)

    async def _list(
        self, resource: Resource, namespace: str | None = None, *, selector: str | None = None
    ) -> list[dict[str, Any]]:
        return list((await self._client.list(resource, namespace, label_selector=selector))["items"])


def _crd() -> dict[str, Any]:
    return dict(yaml.safe_load((MANIFESTS / "tfjobs-crd.yaml").read_text()))


def _roles() -> list[dict[str, Any]]:
    files = sorted(MANIFESTS.glob("rbac-*.yaml"))
    return [role for path in files for role in yaml.safe_load_all(path.read_text())]
