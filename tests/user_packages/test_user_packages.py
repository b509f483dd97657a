"""What users install: pip, in real images, does what its documentation says, and nothing of it changes the image.

The images are those of this machine, and the environment variables those that the node gives their containers. The
wheels are made here: nothing comes from a network.
"""

import json
import os
import resource
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kf_spawner.localcluster.node.image.contents import is_intact
from kf_spawner.localcluster.node.image.store import ImageEnvironment
from tests.fixtures.image_python import image_environment
from tests.fixtures.wheels import make_wheel

IMAGES = ("tensorflow-2.21.0-notebook-cpu", "tensorflow-1.8.0-notebook-cpu")
ORDINARY = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
"""Begins a command that may do no more than a user who is not root."""


@dataclass
class Container:
    """A container of a notebook image: what runs in it finds `home` as its home volume."""

    image: ImageEnvironment
    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        home = str(self.home)
        values = {name: value.replace(self.image.home, home) for name, value in self.image.env.items()}
        return {**values, "HOME": home, "PIP_NO_INDEX": "1", **self.variables}

    @property
    def prefix(self) -> Path:
        return Path(self.env["KF_IMAGE_PREFIX"])

    @property
    def packages(self) -> Path:
        return Path(self.env["PYTHONUSERBASE"])

    @property
    def site(self) -> Path:
        (site,) = self.packages.glob("lib/python*/site-packages")
        return site

    def job(self, *argv: str) -> str:
        """What a program of a job says: its pod names the command, and the entry point does not run."""
        return said(argv, self.env, self.home)

    def start(self, *argv: str, limit: Callable[[], None] | None = None) -> str:
        """What `argv` says when it is started as the notebook server is."""
        return said([*self.image.entrypoint, *argv], self.env, self.home, limit)

    def shell(self, script: str, limit: Callable[[], None] | None = None) -> str:
        """What a terminal of the notebook server shows."""
        return self.start("sh", "-ec", script, limit=limit)


def said(argv, env, cwd, limit=None) -> str:
    ended = subprocess.run(
        [*ORDINARY, *argv], env=env, cwd=cwd, capture_output=True, text=True, timeout=120, preexec_fn=limit
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return (ended.stdout + ended.stderr).strip()


@pytest.fixture(scope="module", params=IMAGES)
def image(request) -> ImageEnvironment:
    found = image_environment(request.param)
    if found is None:
        pytest.skip(f"{request.param} cannot run on this machine")
    return found


@pytest.fixture(scope="module")
def newest() -> ImageEnvironment:
    found = image_environment(IMAGES[0])
    assert found is not None
    return found


def container(image: ImageEnvironment, folder: Path, **variables: str) -> Container:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return Container(image, home, variables)


def test_pip_does_what_its_documentation_says_and_nothing_to_the_image(image, tmp_path):
    there = container(image, tmp_path)
    for name, version in (("six", "99"), ("six", "0.1"), ("demo", "1.0"), ("demo", "2.0")):
        make_wheel(tmp_path, name, version)
    show = 'python -c "import six, demo; print(six.__version__, demo.__version__)"'
    before = there.job("python", "-c", "import six; print(six.__version__)")

    # What the image has too, up and then down; --user; a program of one's own.
    there.shell(f"pip install {tmp_path}/six-99-py3-none-any.whl {tmp_path}/demo-2.0-py3-none-any.whl")
    assert there.shell(show) == "99 2.0"
    there.shell(f"pip install --user {tmp_path}/six-0.1-py3-none-any.whl {tmp_path}/demo-1.0-py3-none-any.whl")
    # Another start, and a job, which has the same volume.
    assert there.shell(f"{show}; demo") == "0.1 1.0\ndemo 1.0 says hello"
    assert there.job("python", "-c", "import six, demo; print(six.__version__, demo.__version__)") == "0.1 1.0"
    assert sorted(path.name for path in there.site.glob("[ds]*.dist-info")) == [
        "demo-1.0.dist-info",
        "six-0.1.dist-info",
    ]

    there.shell("python -m pip uninstall -y six demo")
    assert there.shell('python -c "import six; print(six.__version__)"') == before
    assert "No files were found to uninstall" in there.shell("pip uninstall -y six")
    there.shell(f"pip install --target t {tmp_path}/demo-1.0-py3-none-any.whl")
    assert (there.home / "t" / "demo.py").exists()
    assert not (there.site / "demo.py").exists()
    assert is_intact(there.prefix, thorough=True)


def test_an_environment_of_ones_own_is_ones_own(image, tmp_path):
    there = container(image, tmp_path)
    wheel = make_wheel(tmp_path, "demo")
    # Its pip is the image's, as `ensurepip` takes seconds.
    pip = f"PYTHONPATH={next(there.prefix.glob('lib/python*/pip'))} own/bin/python -m pip"
    there.shell(f"python -m venv --without-pip own; {pip} install {wheel}")
    assert (next(there.home.glob("own/lib/python*/site-packages")) / "demo.py").exists()
    assert not (there.site / "demo.py").exists()
    assert there.shell("own/bin/python -c 'import six' 2>/dev/null || echo none") == "none"
    there.shell("python -m venv --without-pip --system-site-packages over; over/bin/python -c 'import six'")


def test_only_the_image_and_the_user_are_on_the_path(image, tmp_path):
    """Not the packages of the Python that the environments are made of; and it does not get the image's either."""
    there = container(image, tmp_path)
    facts = json.loads(there.shell("python -c 'import json, sys; print(json.dumps([sys.base_prefix, sys.path]))'"))
    base, paths = facts
    folders = [path for path in paths if path.endswith("-packages")]
    assert folders == [str(there.site), str(there.prefix / "lib" / there.site.parent.name / "site-packages")]
    program = "import sys; print(sys.path)"
    seen = said([f"{base}/bin/{there.site.parent.name}", "-c", program], there.env, there.home)
    assert str(there.site) in seen
    assert str(there.prefix) not in seen


def test_what_a_user_installs_never_keeps_the_server_from_starting(image, tmp_path):
    there = container(image, tmp_path)
    there.shell("true")
    for name in ("tornado", "jupyterhub", "sitecustomize", "six"):
        (there.site / f"{name}.py").write_text("raise SystemExit('broken')")
    (there.packages / "bin" / "jupyterhub-singleuser").write_text("#!/bin/sh\nexit 1\n")
    (there.packages / "bin" / "jupyterhub-singleuser").chmod(0o755)
    assert there.start("jupyterhub-singleuser", "--version")[0].isdecimal()
    assert there.shell("python -c 'import six' 2>/dev/null || echo broken") == "broken"

    there.variables["KF_PACKAGES"] = "none"
    shown = there.shell(
        "python -c 'import six; print(six.__file__)'; rm $PYTHONUSERBASE/lib/*/*/sitecustomize.py; pip -V"
    )
    assert f"{there.prefix}/lib" in shown
    assert "pip 2" in shown
    assert f"your packages are not used; `pip` still manages those in {there.packages}" in shown


def test_on_a_full_volume_the_server_starts_without_them_and_says_so(newest, tmp_path):
    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    there = container(newest, tmp_path)
    show = "python -c 'import sys; print(sys.prefix)'"
    shown = there.shell(show, limit=full)
    assert str(there.prefix) in shown
    assert "kf_spawner: the folder of your packages cannot be made ready" in shown
    assert "pip: the folder of your packages is missing" in there.shell("pip list || true", limit=full)
    there.shell("true")
    assert there.shell(show, limit=full) == str(there.packages)


def test_a_home_volume_in_another_place_holds_them(newest, tmp_path):
    volume = tmp_path / "data"
    volume.mkdir()
    there = container(newest, tmp_path, KF_HOME_MOUNT=str(volume))
    prefix = there.shell("python -c 'import sys; print(sys.prefix)'")
    assert Path(prefix).relative_to(volume) == there.packages.relative_to(there.home)


def test_a_newer_image_takes_the_place_of_the_older(newest, tmp_path):
    """In a job as well, whose pod the entry point did not start."""
    there = container(newest, tmp_path)
    there.shell("true")
    older = there.prefix
    there.variables["KF_IMAGE_PREFIX"] = str(tmp_path / "newer")
    site = tmp_path / "newer" / "lib" / there.site.parent.name / "site-packages"
    site.mkdir(parents=True)
    (site / "six.py").write_text("")
    assert there.job("python", "-c", "import six; print(six.__file__)") == str(site / "six.py")
    assert str(older) not in there.job("python", "-c", "import sys; print(sys.path)")


def test_kernels_of_a_users_packages_are_offered_and_hide_none_of_the_image(newest, tmp_path):
    there = container(newest, tmp_path)
    there.shell("true")
    for name in ("python3", "mine"):
        folder = there.packages / "share" / "jupyter" / "kernels" / name
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text(json.dumps({"argv": ["python"], "display_name": "my own"}))
    found = json.loads(there.start("jupyter", "kernelspec", "list", "--json"))["kernelspecs"]
    kernels = {name: kernel["resource_dir"] for name, kernel in found.items()}
    assert kernels == {
        "python3": str(there.prefix / "share/jupyter/kernels/python3"),
        "mine": str(there.packages / "share/jupyter/kernels/mine"),
    }
    assert found["python3"]["spec"]["argv"][:2] == ["env", "python"]
