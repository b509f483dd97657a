"""`kf-spawner` itself: two side by side, wrong arguments, stop, a killed `up`, what survives a restart."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from kf_spawner.cli import bootstrap

from . import product as products
from .kubectl import Kubectl


def test_an_installation_from_start_to_removal(tmp_path):
    """Status, a second `up`, `kill -9` of `up`, `down`, another start, and the end of its terminal."""
    home = tmp_path / "home"
    first = products.start(home)
    try:
        check_status(first)
        refuses_a_second_start(first)
        kubectl = Kubectl(products.kubectl_binary(), first.kubeconfig)
        kubectl("create", "configmap", "kept", "--from-literal=a=b")
        assert first.stop(signal.SIGKILL) == -signal.SIGKILL
        left = products.run_cli("status", "--home", str(home), "--json")
        assert left.returncode == 3
        assert any(entry["running"] for entry in json.loads(left.stdout)["components"])
    finally:
        removed = products.run_cli("down", "--home", str(home), timeout=120)
    assert removed.returncode == 0, removed.stderr
    assert not products.left_of(home)
    words = products.run_cli("status", "--home", str(home))
    assert (words.returncode, "not running" in words.stdout) == (3, True)
    a_closed_terminal_stops_all(home)


def check_status(running):
    running.until_running("dashboard")  # up does not wait for it
    facts = running.status()
    assert facts["running"]
    assert facts["hub"] == running.hub
    names = {entry["name"] for entry in facts["components"] if entry["running"]}
    assert names == {
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "node",
        "operator",
        "proxy",
        "hub",
        "door",
        "dashboard",
    }
    assert not running.log("door"), "neither the door nor Traefik has something to complain about"
    assert running.home.stat().st_mode & 0o777 == 0o700
    assert os.stat(running.kubeconfig).st_mode & 0o777 == 0o600


def refuses_a_second_start(running):
    second = products.run_cli("up", "--home", str(running.home), "--port", str(products.free_port()))
    assert second.returncode == 1
    assert "already runs on" in second.stderr


def a_closed_terminal_stops_all(home):
    """It starts on the store of the one that was killed."""
    command = f"{sys.executable} -m kf_spawner.cli up --home {home} --port {products.free_port()} 2>&1 | head -n 1"
    pipeline = subprocess.Popen(["sh", "-c", command], env=products.clean_environment(), start_new_session=True)
    try:
        facts = until_status(home, lambda facts: facts.get("ready"))
        kubectl = Kubectl(products.kubectl_binary(), facts["kubeconfig"])
        assert kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.a}") == "b"
        os.kill(facts["pid"], signal.SIGHUP)  # nobody reads what it says by now
        pipeline.wait(products.STOP_TIMEOUT)
        assert not products.left_of(home)
    finally:
        products.run_cli("down", "--home", str(home), timeout=120)


def test_a_killed_component_is_restarted_and_said(product):
    pid = product.pid("operator")
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 120
    while not any("operator is back" in line for line in product.output):
        assert time.monotonic() < deadline, product.output
        time.sleep(0.1)
    assert any("operator was killed by SIGKILL; restarting it" in line for line in product.output)
    assert product.pid("operator") != pid


def until_status(home, holds, timeout=200.0):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        done = products.run_cli("status", "--home", str(home), "--json")
        if done.stdout and holds(json.loads(done.stdout)):
            return json.loads(done.stdout)
        time.sleep(0.2)
    raise AssertionError(done.stdout + done.stderr)


WRONG = [
    (["--host", "0.0.0.0"], "--password-file"),
    (["--password-file", "{tmp}/none"], "--password-file"),
    (["--password-file", "{open_file}"], "chmod 600"),
    (["--password-file", "{tmp}/picture"], "it is not a text file"),
    (["--subdomains", "--host", "127.0.0.2"], "--subdomains needs --host 127.0.0.1"),
    (["--port", "0"], "port"),
    (["--port", "http"], "port"),
    (["--kubeconfig", "{tmp}/none"], "does not exist"),
    (["everything"], "unknown argument 'everything'"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG, ids=[" ".join(case[0]) for case in WRONG])
def test_wrong_arguments_start_nothing(tmp_path, arguments, words):
    (tmp_path / "open").write_text("secret")
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "picture").write_bytes(b"\x89PNG")
    filled = [word.format(tmp=tmp_path, open_file=tmp_path / "open") for word in arguments]
    done = products.run_cli("up", "--home", str(tmp_path / "home"), *filled)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "home").exists()


def test_a_port_in_use(product, tmp_path):
    done = products.run_cli("up", "--home", str(tmp_path / "home"), "--port", str(product.port))
    assert done.returncode == 1
    assert f"port {product.port}" in done.stderr
    assert "--port" in done.stderr
    assert not (tmp_path / "home").exists()


def test_a_file_is_no_home(tmp_path):
    (tmp_path / "home").write_text("")
    done = products.run_cli("up", "--home", str(tmp_path / "home"), "--port", str(products.free_port()))
    assert done.returncode == 1
    assert "Not a directory; that is a file: name a folder with --home" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_of_others_is_no_home(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    tmp_path.chmod(0o755)
    done = products.run_cli("up", "--home", str(tmp_path), "--port", str(products.free_port()))
    assert done.returncode == 1
    assert "holds files that are not kf-spawner's" in done.stderr
    assert f"--home, such as {tmp_path}/kf-spawner" in done.stderr
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def of_another(kubeconfig: Path, **changes: str) -> str:
    """The kubeconfig with a token in place of its certificate, or another server."""
    document = yaml.safe_load(kubeconfig.read_text())
    if "token" in changes:
        document["users"][0]["user"] = changes
    else:
        document["clusters"][0]["cluster"] |= changes
    return yaml.safe_dump(document)


@pytest.mark.parametrize(
    ("who", "words"),
    [
        ("nobody answers", ["does not answer", "start that cluster, or name another one's kubeconfig"]),
        ("a stranger", ["does not accept the token", "name a kubeconfig that is still valid"]),
        ("the hub", ["cannot make the ", "(403 Forbidden); name the kubeconfig of an administrator"]),
    ],
)
def test_a_named_cluster_that_refuses(product, tmp_path, who, words):
    administrator = Path(product.kubeconfig)
    kubeconfigs = {
        "nobody answers": lambda: of_another(administrator, server=f"https://127.0.0.1:{products.free_port()}"),
        "a stranger": lambda: of_another(administrator, token="expired"),
        "the hub": (product.home / "kubeconfigs" / "hub.kubeconfig").read_text,
    }
    file = tmp_path / "kubeconfig"
    file.write_text(kubeconfigs[who]())
    arguments = ("--port", str(products.free_port()), "--kubeconfig", str(file))
    done = products.run_cli("up", "--home", str(tmp_path / "home"), *arguments)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for part in (f"--kubeconfig {file}: ", *words):
        assert part in done.stderr


@pytest.mark.parametrize(
    ("name", "namespace", "words"),
    [
        ("Capitals", "default", 'cannot make the ConfigMap Capitals: ConfigMap "Capitals" is invalid'),
        ("early", "nowhere", 'cannot make the ConfigMap early: namespaces "nowhere" not found'),
    ],
)
async def test_an_object_that_cannot_be_made_is_named(product, monkeypatch, name, namespace, words):
    monkeypatch.setattr(bootstrap, "PATIENCE", 0.3)
    bad = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}}
    with pytest.raises(bootstrap.CannotApply, match=words):
        await bootstrap.apply_all(Path(product.kubeconfig), [bad])


def test_damaged_keys_are_named(tmp_path):
    pki = tmp_path / "home" / "pki"
    pki.mkdir(parents=True, mode=0o700)
    (pki / "ca.crt").write_text("not a certificate")
    (pki / "ca.key").write_text("nor is this a key")
    done = products.run_cli("up", "--home", str(tmp_path / "home"), "--port", str(products.free_port()))
    assert done.returncode == 1
    assert str(pki) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_kubeconfig_that_happens_to_be_set_is_not_used(product):
    assert "no kubeconfig" in Path(product.variables["KUBECONFIG"]).read_text()
    assert str(product.home) in product.kubeconfig


def test_a_named_cluster_is_used_and_none_is_started(product, tmp_path):
    home = tmp_path / "second"
    running = products.start(home, "--kubeconfig", product.kubeconfig)
    try:
        assert running.kubeconfig == product.kubeconfig
        running.until_running("dashboard")
        names = {entry["name"] for entry in running.status()["components"] if entry["running"]}
        assert names == {"operator", "proxy", "hub", "door", "dashboard"}
        assert not (home / "etcd").exists()
        seen = {int(line.split()[0]) for line in products.processes_of(home)}
        assert {entry["pid"] for entry in running.status()["components"]} <= seen, "left_of would miss one"
    finally:
        ended = products.run_cli("down", "--home", str(home), timeout=120)
        assert ended.returncode == 0, ended.stderr
        assert running.process.wait(60) == 0
    assert not products.left_of(home)
