"""The command: output, exit codes, signals, and what is left when it is ended early."""

import asyncio
import json
import re
import signal
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from kf_spawner.kube.resources import NAMESPACES
from tests.fixtures.ports import free_port

from . import fake_cluster
from .expectations import does_nothing
from .fake_cluster import FakeCluster

LIMIT = 60.0


class Command:
    """`kf-spawner doctor`, under way."""

    def __init__(self, process: asyncio.subprocess.Process):
        self.process = process

    @classmethod
    async def start(cls, kubeconfig: Path | str, *arguments: str) -> "Command":
        argv = [sys.executable, "-m", "kf_spawner.cli", "doctor", f"--kubeconfig={kubeconfig}", *arguments]
        pipe = asyncio.subprocess.PIPE
        return cls(await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=pipe))

    async def end(self) -> tuple[int, str, str]:
        """Exit code, standard output and error."""
        try:
            async with asyncio.timeout(LIMIT):
                out, err = await self.process.communicate()
        finally:
            if self.process.returncode is None:
                self.process.kill()
        return self.process.returncode or 0, out.decode(), err.decode()


async def doctor(kubeconfig: Path | str, *arguments: str) -> tuple[int, str, str]:
    return await (await Command.start(kubeconfig, *arguments)).end()


async def test_silent_and_0_on_a_healthy_cluster(cluster: FakeCluster, control_plane):
    code, out, err = await doctor(
        control_plane.admin_kubeconfig, f"--namespace={cluster.namespace}", f"--probe-namespace={fake_cluster.PROBES}"
    )
    assert (code, out) == (0, "")
    assert "0 errors, 0 warnings in 16 checks; the platform is not installed" in err


async def test_a_finding_in_words_and_1(cluster: FakeCluster, control_plane):
    async with cluster.changed_storage_class(metadata={"name": fake_cluster.CLASS}):
        code, out, err = await doctor(control_plane.admin_kubeconfig, "--skip=pod,quota")
    assert code == 1
    lines = out.splitlines()
    assert lines[0].startswith("error: storage: The cluster has no default StorageClass")
    assert re.match(r"  do:   .+", lines[1])
    assert lines[2] == "  more: kubectl get storageclass"
    assert "1 errors" in err


async def test_json(cluster: FakeCluster, control_plane):
    async with cluster.changed_storage_class(metadata={"name": fake_cluster.CLASS}):
        code, out, err = await doctor(control_plane.admin_kubeconfig, "--skip=pod", "--json")
    report = json.loads(out)
    assert (code, err, report["healthy"], report["installed"], report["passed_over"]) == (1, "", False, False, {})
    [finding] = report["findings"]
    assert set(finding) == {"check", "severity", "cause", "remedy", "command"}
    assert (finding["check"], finding["severity"]) == ("storage", "error")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_interrupted_it_leaves_nothing(cluster: FakeCluster, control_plane, number):
    cluster.on_pod = cluster.on_claim = does_nothing
    command = await Command.start(control_plane.admin_kubeconfig)
    try:
        await cluster.until(lambda: has_all(cluster))
    finally:
        command.process.send_signal(number)
    code, out, _ = await command.end()
    assert (code, out) == (130, "")
    assert await cluster.leftovers() == []
    assert await doctors_namespaces(cluster) == []


async def test_what_a_killed_one_left_is_removed_by_the_next(cluster: FakeCluster, monkeypatch):
    name = "kf-doctor-dead"
    labels = {"app.kubernetes.io/managed-by": "kf-spawner-doctor"}
    await cluster.client.create(
        NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    )
    monkeypatch.setattr("kf_spawner.doctor.prober.STALE", timedelta(seconds=-1))
    assert (await cluster.run_doctor(place="")).findings == []
    await cluster.until(lambda: are_none(cluster))


async def test_no_api_server(tmp_path: Path):
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(kubeconfig_of(f"http://127.0.0.1:{free_port()}"))
    code, out, _ = await doctor(kubeconfig)
    assert code == 1
    assert out.startswith("error: api: The API server cannot be reached.")


async def test_credentials_that_have_expired(control_plane, tmp_path: Path):
    kubeconfig = tmp_path / "kubeconfig"
    ca = Path(control_plane.credentials.authority)
    kubeconfig.write_text(kubeconfig_of(control_plane.server, ca=ca, token="old"))
    code, out, _ = await doctor(kubeconfig)
    assert code == 1
    assert "does not accept the kubeconfig's credentials" in out


async def test_a_certificate_of_somebody_else(control_plane, tmp_path: Path):
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(kubeconfig_of(control_plane.server))
    code, out, _ = await doctor(kubeconfig)
    assert code == 1
    assert "certificate cannot be trusted" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--skip=pods"], "there is no check pods"),
        (["now"], "unknown argument 'now'"),
        (["--tolerations=dedicated"], "--tolerations: 'dedicated' is not a JSON list"),
    ],
)
async def test_what_it_cannot_begin_with(control_plane, arguments, words):
    code, out, err = await doctor(control_plane.admin_kubeconfig, *arguments)
    assert (code, out) == (2, "")
    assert words in err


async def test_an_account_that_may_look_at_nothing(control_plane):
    """Nothing found is no good news then; what it may not install it is not asked about here."""
    code, out, err = await doctor(control_plane.kubeconfig("blind"), "--skip=rights")
    assert (code, out) == (2, "")
    assert "this account may read nothing: " in err
    assert "is forbidden" in err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("", "does not exist"),
        (("t", ""), "cannot be read"),
        (("cluster", {"server": "https://127.0.0.1:1", "certificate-authority-data": "AAAA"}), "is not valid"),
        (("user", {"tokenFile": "/nowhere"}), "the token file /nowhere cannot be read"),
    ],
    ids=["none", "no YAML", "certificate", "token file"],
)
async def test_a_kubeconfig_that_cannot_be_used(tmp_path: Path, change, words):
    kubeconfig = tmp_path / "kubeconfig"
    if change:
        kubeconfig.write_text(kubeconfig_of("http://127.0.0.1:1", **dict([change])) if change[1] else "{")
    code, out, err = await doctor(kubeconfig)
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


def kubeconfig_of(
    server: str,
    *,
    ca: Path | None = None,
    token: str = "t",
    cluster: dict | None = None,
    user: dict | None = None,
) -> str:
    cluster = cluster or {"server": server, **({"certificate-authority": str(ca)} if ca else {})}
    return json.dumps(
        {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user or {"token": token}}],
        }
    )


async def doctors_namespaces(cluster: FakeCluster) -> list[str]:
    items = (await cluster.client.list(NAMESPACES))["items"]
    return [item["metadata"]["name"] for item in items if item["metadata"]["name"].startswith("kf-doctor-")]


async def are_none(cluster: FakeCluster) -> bool:
    return not await doctors_namespaces(cluster)


async def has_all(cluster: FakeCluster) -> bool:
    """Both pods and the claim are there."""
    return len([item for item in await cluster.leftovers() if "kf-doctor-" in item]) == 3
