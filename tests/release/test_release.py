"""What is released is complete, and from these files alone the platform starts in seconds, without Go and git."""

import os
import re
import signal
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest
import uv
import yaml

from kf_spawner import __version__
from kf_spawner.localcluster.controlplane import build
from scripts.release.licences import NoLicence, third_party
from tests.e2e.product import STOP_TIMEOUT, left_of
from tests.fixtures.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
LONGEST_START = 30.0
SHARED = f"kf_spawner-{__version__}.data/data/share/kf-spawner/"


def tracked(*below: str) -> set[str]:
    done = subprocess.run(["git", "ls-files", *below], cwd=ROOT, check=True, capture_output=True, text=True)
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def dist(tmp_path_factory, control_plane_binaries) -> Path:
    """The folder that `make dist` fills."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "scripts.release", "--out", str(folder)], cwd=ROOT, check=True)
    return folder


def wheel(dist: Path, name: str) -> Path:
    [found] = dist.glob(f"{name}-{__version__}-*.whl")
    return found


def test_the_wheel_has_every_file(dist):
    with zipfile.ZipFile(wheel(dist, "kf_spawner")) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (about,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        needs = archive.read(about).decode()
    shared = {f"{SHARED}{name}" for name in tracked("images", "jupyterhub_config.py")}
    assert names == tracked("kf_spawner") | shared
    assert re.search(
        rf'^Requires-Dist: kf-spawner-control-plane=={__version__};.*extra == "control-plane"$', needs, re.M
    )


def test_the_sdist_has_all_that_the_wheel_is_made_of(dist):
    with tarfile.open(dist / f"kf_spawner-{__version__}.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = tracked("kf_spawner", "images", "requirements")
    assert wanted | {"setup.py", "pyproject.toml", "jupyterhub_config.py", "README.md", "LICENSE"} <= names


def test_the_programs_are_runnable_and_name_what_they_are_made_of(dist):
    package = "kf_spawner_control_plane"
    info = f"{package}-{__version__}.dist-info"
    with zipfile.ZipFile(wheel(dist, package)) as archive:
        assert archive.read(f"{package}/key").decode().strip() == build.CONTROL_PLANE.key()
        for program in ("kf-control-plane", "kubectl"):
            assert archive.getinfo(f"{package}/bin/{program}").external_attr >> 16 & 0o111 == 0o111
        text = archive.read(f"{info}/licenses/THIRD-PARTY.txt").decode()
        tags = archive.read(f"{info}/WHEEL").decode()
    assert "Root-Is-Purelib: false" in tags
    assert "Tag: py3-none-manylinux_2_17_" in tags
    for module in (
        f"k8s.io/kubernetes@{build.KUBERNETES_VERSION}\n",
        "go.etcd.io/etcd/server/v3@v3.7.0\n",
        "k8s.io/api@v0.37.2\n",
        "go@go1.",
    ):
        assert f"\n{module}" in text
    assert "@\n" not in text
    assert "Apache License" in text
    assert "The Go Authors" in text


def test_chart_and_examples_have_the_same_version():
    chart = yaml.safe_load((ROOT / "helm" / "kf-spawner" / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
    examples = "".join(path.read_text() for path in (ROOT / "kf_spawner" / "examples").rglob("*.yaml"))
    images = re.findall(r"image: kf-spawner/[\w.-]+:(\S+)", examples)
    assert set(images) == {__version__}


def test_what_has_no_licence_is_not_passed_on(tmp_path):
    (tmp_path / "free").mkdir()
    (tmp_path / "free" / "LICENSE.txt").write_text("Do what you like.\n")
    assert "one@v1\ntwo@v1\n" in third_party({"two@v1": [tmp_path / "free"], "one@v1": [tmp_path / "free", tmp_path]})
    for name in "zyxwvutsrqponmlkjihgfedcba":
        (tmp_path / "free" / f"LICENSE.{name}").write_text(f"Text {name}.\n")
    texts = re.findall("Text .", third_party({"many@v1": [tmp_path / "free"]}))
    assert texts == sorted(texts), "another order each time would give other bytes each time"
    assert len(texts) == 26
    with pytest.raises(NoLicence, match="none@v1 has no licence file"):
        third_party({"none@v1": [tmp_path]})


@pytest.fixture(scope="module")
def installed(dist, tmp_path_factory) -> Path:
    """A fresh virtual environment with the wheels; their dependencies are those of the lock file."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    lock = [uv.find_uv_bin(), "pip", "install", "-q", "--no-deps", "--compile-bytecode", "--python", python]
    subprocess.run([*lock, "--require-hashes", "-r", str(ROOT / "requirements" / "run.txt")], check=True)
    wheels = [python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--find-links", str(dist)]
    subprocess.run([*wheels, "kf-spawner", "kf-spawner-control-plane"], check=True)
    return folder


def reached(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200 and b'name="password"' in answer.read()
    except (urllib.error.URLError, OSError):
        return False


def test_the_login_page_is_there_in_seconds_without_go_and_git(installed, tmp_path):
    home, cache, port = tmp_path / "home", tmp_path / "cache", free_port()
    programs = str(installed / "bin")
    env = {"PATH": programs, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(cache), "LANG": "C.UTF-8"}
    argv = [f"{programs}/kf-spawner", "up", "--home", str(home), "--port", str(port)]
    with (tmp_path / "output").open("w+") as output:
        began = time.monotonic()
        up = subprocess.Popen(argv, env=env, cwd=tmp_path, stdout=output, stderr=output, start_new_session=True)
        try:
            while not reached(f"http://127.0.0.1:{port}/hub/login"):
                said = (tmp_path / "output").read_text()
                assert up.poll() is None, said
                assert time.monotonic() - began < LONGEST_START, said
                time.sleep(0.1)
        finally:
            if up.poll() is None:
                up.send_signal(signal.SIGINT)
            code = up.wait(STOP_TIMEOUT)
    assert code == 0
    assert left_of(home) == []
    assert [path.name for path in (cache / "kf-spawner").iterdir()] == ["bin"], "nothing was built"
    links = cache / "kf-spawner" / "bin" / f"{build.CONTROL_PLANE.key()}-packaged"
    assert {os.readlink(path).startswith(str(installed)) for path in links.iterdir()} == {True}
