"""Images as the node has them: references, why not, building from pins, and what stays on the disk."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kf_spawner.localcluster.node.image.build import build_environ
from kf_spawner.localcluster.node.image.catalogue import ImageError, load_catalogue, parse_reference
from kf_spawner.localcluster.node.image.interpreters import find_interpreter
from kf_spawner.localcluster.node.image.progress import InstallProgress
from kf_spawner.localcluster.node.image.store import ImageStore
from tests.fixtures.wheels import make_wheel

THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def pinned_wheel(folder: Path) -> str:
    """The requirement that pins a wheel with a module, a command and what nobody needs."""
    wheel = make_wheel(folder, "demo", more={"demo_headers/demo.h": "int main();"})
    return f"demo @ {wheel.as_uri()} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


class ImageFolders:
    """A catalogue with the image `small`, a package and a cache, in one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.catalogue, self.cache, self.package = root / "images", root / "cache", root / "kf_spawner"
        self.package.mkdir()
        (self.package / "__init__.py").write_text('__version__ = "1.2.3"\n')
        overlay = self.catalogue / "common" / "etc" / "jupyter"
        overlay.mkdir(parents=True)
        (overlay / "config.json").write_text("{}")
        self.describe("small")
        (self.catalogue / "small" / "requirements.txt").write_text(pinned_wheel(root))

    def describe(self, folder_name: str, **changes) -> None:
        folder = self.catalogue / folder_name
        folder.mkdir(parents=True, exist_ok=True)
        environment = {"folder": "python", "pythons": [THIS_PYTHON], "requirements": "requirements.txt"}
        environment |= {
            "files": ["../common"],
            "remove": ["bin/pydoc*", "lib/python*/site-packages/demo_headers"],
        } | changes.pop("environment", {})
        content = {
            "name": folder_name,
            "gpu": False,
            "kind": "notebook",
            "cmd": ["demo"],
            "environments": [environment],
        } | changes
        (folder / "image.json").write_text(json.dumps(content))

    def store(self) -> ImageStore:
        return ImageStore(self.catalogue, self.cache, self.package)

    def on_disk(self) -> list[str]:
        return sorted(path.name for folder in ("images/small", "layers") for path in (self.cache / folder).glob("*"))


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("UV_OFFLINE", "1")
    return ImageFolders(tmp_path)


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("small", ("small", "")),
        ("kf-spawner/small:0.1.0", ("small", "0.1.0")),
        ("registry.example:5000/a/b/tensorflow-2.21.0-notebook-cpu:v1", ("tensorflow-2.21.0-notebook-cpu", "v1")),
    ],
)
def test_reference(reference, parts):
    assert parse_reference(reference) == parts


@pytest.mark.parametrize(
    "reference", ["", "Small", "small:", "a//small", "small image", "small:tag:tag", "-small", "../small"]
)
def test_what_is_no_reference(reference):
    with pytest.raises(ImageError, match="write \\[registry/\\]") as caught:
        parse_reference(reference)
    assert caught.value.reason == "InvalidImageName"


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("kf-spawner/none:1.2.3", "is not in this node's catalogue; there are: gpu, container, small"),
        ("kf-spawner/small:1.2.4", "this node has small in version 1.2.3"),
        ("kf-spawner/old", "it needs Python 3.5, and there is none on PATH or under pyenv; install one"),
    ],
)
def test_why_not(folders, reference, words):
    if reference.endswith("old"):
        folders.describe("old", environment={"pythons": ["3.5"]})
    else:
        folders.describe("container", container_only="it needs CUDA 9.0")
        folders.describe("gpu", gpu=True)
        words = words.replace("gpu, container, small", "container, gpu, small")
    with pytest.raises(ImageError) as caught:
        folders.store().resolve(reference)
    assert caught.value.reason == "ErrImagePull"
    assert words in caught.value.message


def test_unavailable_says_why(folders, monkeypatch):
    folders.describe("container", container_only="it needs CUDA 9.0")
    folders.describe("gpu", gpu=True)
    monkeypatch.setattr("kf_spawner.localcluster.node.image.store.has_gpu", lambda: False)
    reasons = folders.store().unavailable()
    assert set(reasons) == {"container", "gpu"}
    assert reasons["container"] == "it needs CUDA 9.0; use a cluster for it"
    assert "no NVIDIA GPU" in reasons["gpu"]


def test_a_description_that_is_wrong_is_named(folders):
    folders.describe("small", name="other")
    with pytest.raises(
        ValueError, match=r"small/image.json does not describe an image: .*name is 'other' and the folder 'small'"
    ):
        load_catalogue(folders.catalogue)


def fake_python(path: Path, *, version: str = "", fails: bool = False) -> None:
    path.parent.mkdir(parents=True)
    answer = json.dumps([str(path), "CPython", version, "x86_64"])
    path.write_text("#!/bin/sh\nexit 127\n" if fails else f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)


def test_python_is_found_under_pyenv_where_the_one_on_path_is_a_stub(tmp_path):
    fake_python(tmp_path / "shims/python3.4", fails=True)
    fake_python(tmp_path / ".pyenv/versions/3.4.2/bin/python3.4", version="3.4.2")
    fake_python(tmp_path / ".pyenv/versions/3.4.15/bin/python3.4", version="3.4.15")
    environ = {"PATH": str(tmp_path / "shims"), "HOME": str(tmp_path)}
    found = find_interpreter(["3.5", "3.4"], environ=environ)
    assert found is not None
    assert found.version == "3.4.15"
    assert find_interpreter(["3.4"], environ={"PATH": "", "HOME": str(tmp_path / "nobody")}) is None


async def test_pull_builds_the_image(folders):
    store = folders.store()
    image = store.resolve("kf-spawner/small:1.2.3")
    assert not store.present(image)
    lines = []
    await store.pull(image, lines.append)
    assert store.present(image)
    assert lines[0].startswith("Building python, an environment of Python 3.")
    assert lines[-1] == "Assembling small"
    environment = store.environment(image)
    assert environment.cmd == ["demo"]
    assert (image.path / "python/etc/jupyter/config.json").read_text() == "{}"
    assert not list((image.path / "python/bin").glob("pydoc*"))
    site = next((image.path / "python").glob("lib/python*/site-packages"))
    assert list((site / "__pycache__").glob("demo.*.pyc"))
    assert not (site / "demo_headers").exists()

    def run(*argv):
        env = {key: value.replace("/home/jovyan", str(folders.root)) for key, value in environment.env.items()}
        return subprocess.run(argv, env=env, cwd="/", capture_output=True, text=True, check=True).stdout.strip()

    script = str(image.path / "python/bin/demo")
    assert run(script) == "demo 1.0 says hello"
    python = str(image.path / "python/bin/python")
    assert run(python, "-c", "import kf_spawner; print(kf_spawner.__version__)") == "1.2.3"
    assert run(python, "-c", "import sys; print(sys.prefix)") == str(image.path / "python")
    assert f"/.kf-packages/small/python{THIS_PYTHON}" in run(python, "-c", "import site; print(site.getuserbase())")


async def test_a_new_package_makes_a_new_image_of_the_same_layer(folders):
    store = folders.store()
    first = store.resolve("small")
    await store.pull(first)
    (folders.package / "module.py").write_text("")
    second = store.resolve("small")
    assert second.digest != first.digest
    assert second.layers == first.layers
    lines = []
    await store.pull(second, lines.append)
    assert lines == ["Assembling small"]
    assert len(list(first.path.glob("python/lib/python*/site-packages/kf_spawner/*"))) == 1
    modules = [next(image.path.glob("python/lib/python*/site-packages/demo.py")) for image in (first, second)]
    assert modules[0].samefile(modules[1])


async def test_nobody_but_root_can_change_an_image(folders):
    store = folders.store()
    image = store.resolve("small")
    await store.pull(image)
    writable = [path for path in (image.path, *image.path.rglob("*")) if not path.is_symlink() and writes(path)]
    assert writable == []
    await asyncio.to_thread(as_nobody_special, f"build.remove_tree(build.Path({str(image.path)!r}))")
    assert not image.path.exists()


def writes(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o222)


def as_nobody_special(code: str) -> None:
    """Runs code with `build`, without what root may do more than another owner of the files."""
    program = [sys.executable, "-c", f"from kf_spawner.localcluster.node.image import build; {code}"]
    less = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    subprocess.run([*less, *program], check=True, timeout=60)


def cut_out(image, module):
    module.unlink()


def put_in(image, module):
    module.with_name("numpy.py").write_text("")


def replace(image, module):
    module.with_name("new").write_text(module.read_text() + "\n")
    module.with_name("new").rename(module)


def overwrite(image, module):
    """The layer's file as well: it is the same one."""
    module.write_text("broken")
    cut_out(image, module)


@pytest.mark.parametrize("change", [cut_out, put_in, replace, overwrite])
async def test_an_image_that_was_changed_is_built_again(folders, change):
    store = folders.store()
    image = store.resolve("small")
    await store.pull(image)
    module = next(image.path.glob("python/lib/python*/site-packages/demo.py"))
    module.parent.chmod(0o755)
    module.chmod(0o644)
    assert store.present(image)
    text = module.read_text()
    change(image, module)
    assert not store.present(image)
    lines = []
    await store.pull(image, lines.append)
    assert lines[0] == "small was changed on this machine; building it again"
    assert store.present(image)
    assert module.read_text() == text
    assert not module.with_name("numpy.py").exists()
    assert folders.on_disk() == sorted([image.path.name, image.layers["python"].name])


async def test_two_pulls_at_once_build_once(folders):
    said = [[], []]
    stores = [folders.store(), folders.store()]
    image = stores[0].resolve("small")
    async with asyncio.timeout(120):
        await asyncio.gather(*(store.pull(image, lines.append) for store, lines in zip(stores, said, strict=True)))
    assert sorted(map(bool, said)) == [False, True]


async def test_a_cancelled_pull_leaves_nothing_half_made(folders):
    store = folders.store()
    image = store.resolve("small")
    started = asyncio.Event()
    pull = asyncio.create_task(store.pull(image, lambda line: started.set()))
    await started.wait()
    await asyncio.sleep(0)
    pull.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pull
    assert not store.present(image)
    assert not image.layers["python"].exists()
    await store.pull(image)
    assert folders.on_disk() == sorted([image.path.name, image.layers["python"].name])


async def test_what_was_not_pinned_is_refused(folders):
    pins = folders.catalogue / "small" / "requirements.txt"
    pins.write_text(pins.read_text().split("sha256:")[0] + "sha256:" + "0" * 64 + "\n")
    store = folders.store()
    image = store.resolve("small")
    with pytest.raises(ImageError, match="Hash mismatch") as caught:
        await store.pull(image)
    assert caught.value.reason == "ErrImagePull"
    assert caught.value.message.endswith("check the mirror.")
    assert not store.present(image)


async def test_builds_that_nobody_uses_are_removed_after_a_day(folders):
    store = folders.store()
    old = []
    for number in range(3):
        (folders.package / "module.py").write_text(f"{number}")
        old.append(store.resolve("small"))
        await store.pull(old[-1])
    for image in old[:2]:
        os.utime(image.path, (0, time.time() - 25 * 3600))
    user = subprocess.Popen(["sleep", "60"], env={"PATH": f"{old[1].path}/python/bin:/usr/bin:/bin"})
    try:
        (folders.package / "module.py").write_text("new")
        new = store.resolve("small")
        await store.pull(new)
    finally:
        user.kill()
        user.wait()
    assert [store.present(image) for image in (*old, new)] == [False, True, True, True]


async def test_layers_that_no_image_is_made_of_are_removed_after_a_week(folders):
    store = folders.store()
    old = store.resolve("small")
    await store.pull(old)
    for path in (old.path, old.layers["python"]):
        os.utime(path, (0, time.time() - 8 * 24 * 3600))
    (folders.package / "module.py").write_text("")
    await store.pull(store.resolve("small"))
    assert not old.path.exists()
    assert old.layers["python"].exists()
    pins = folders.catalogue / "small" / "requirements.txt"
    pins.write_text(f"# other pins\n{pins.read_text()}")
    for path in folders.cache.glob("images/small/*"):
        os.utime(path, (0, time.time() - 8 * 24 * 3600))
    new = folders.store().resolve("small")
    await store.pull(new)
    assert folders.on_disk() == sorted([new.path.name, new.layers["python"].name])


def test_settings_of_pip_reach_uv_and_those_of_another_python_do_not(tmp_path):
    theirs = {
        "PIP_INDEX_URL": "https://mirror.example/simple",
        "PIP_CERT": "/ca.pem",
        "PYTHONPATH": "/x",
        "HOME": "/h",
    }
    environ = build_environ(tmp_path, theirs | {"SSL_CERT_FILE": "/mine.pem", "PYTHONDONTWRITEBYTECODE": "1"})
    assert environ["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert environ["SSL_CERT_FILE"] == "/mine.pem"
    assert environ["UV_CACHE_DIR"] == str(tmp_path / "uv")
    assert environ["HOME"] == "/h"
    assert not [name for name in environ if name.startswith("PYTHON")]


def test_progress_in_a_few_lines():
    lines = []
    progress = InstallProgress(lines.append)
    for line in [
        "Resolved 154 packages in 443ms",
        "Downloading pip (1.9MiB)",
        "Downloading tensorflow-cpu (261.1MiB)",
        "Downloading scipy (33.7MiB)",
        " Downloaded pip",
        " Downloaded scipy",
        " Downloaded tensorflow-cpu",
        "Prepared 153 packages in 7.13s",
        "Installed 154 packages in 1.67s",
        " + yarl==1.25.1",
    ]:
        progress.feed(line)
    assert lines == [
        "Resolved 154 packages",
        "Downloading tensorflow-cpu (261 MiB)",
        "Downloading scipy (34 MiB)",
        "Downloaded scipy; 261 MiB to go: tensorflow-cpu",
        "Downloaded tensorflow-cpu",
        "Downloaded all; installing 154 packages",
    ]
    assert progress.packages == 154
