"""The catalogue in images/: a Dockerfile and the node make the same image of the same files."""

import json
import re
from pathlib import Path

import pytest

from kf_spawner.localcluster.node.image.catalogue import load_catalogue
from kf_spawner.localcluster.node.image.interpreters import Interpreter
from kf_spawner.localcluster.node.image.store import Image, ImageStore

ROOT = Path(__file__).resolve().parents[3]
IMAGES = ROOT / "images"
SPECS = load_catalogue(IMAGES)
NAMES = sorted(SPECS)


def test_names():
    assert NAMES == [
        "model-server",
        "tensorflow-1.8.0-notebook-cpu",
        "tensorflow-1.8.0-notebook-gpu",
        "tensorflow-2.21.0-notebook-cpu",
        "tensorflow-2.21.0-notebook-gpu",
    ]


@pytest.fixture(params=NAMES)
def spec(request):
    return SPECS[request.param]


@pytest.fixture
def dockerfile(spec):
    """Its instructions, continued lines joined."""
    text = re.sub(r"\\\n", " ", (spec.folder / "Dockerfile").read_text())
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def copied(dockerfile):
    """(source, destination) of each COPY from the build's own context."""
    pairs = []
    for line in dockerfile:
        if line.startswith("COPY ") and "--from" not in line:
            *sources, destination = line.split()[1:]
            pairs += [(source.rstrip("/"), destination.rstrip("/")) for source in sources]
    return pairs


def test_dockerfile_installs_the_same_pins_and_overlays(spec, dockerfile):
    pairs = copied(dockerfile)
    sources = [source for source, _ in pairs]
    made = {}
    for line in dockerfile:
        for words in re.findall(r"/tmp/environment (\S+ \S+ \S+(?: '[^']+')*)", line):
            python, folder, pins, *removed = words.split()
            made[folder] = (python.replace("${PYTHON}", "3.11"), pins, tuple(glob.strip("'") for glob in removed))
    assert list(made) == [environment.folder for environment in spec.environments]
    for environment in spec.environments:
        prefix = f"/opt/kf/{environment.folder}"
        assert str(environment.requirements.resolve().relative_to(ROOT)) in sources
        python, pins, removed = made[environment.folder]
        assert python.endswith(f"python{environment.pythons[0]}")
        assert (pins, removed) == (f"/tmp/pins/{environment.requirements.name}", environment.remove)
        for overlay in environment.files:
            assert (str(overlay.resolve().relative_to(ROOT)), prefix) in pairs
        packages = [to for source, to in pairs if source == "kf_spawner" and to.startswith(f"{prefix}/lib/python")]
        assert packages
        assert packages[0].endswith("/site-packages/kf_spawner")
    for source in sources:
        assert (ROOT / source).exists()


def test_dockerfile_runs_as_the_node_does(spec, dockerfile, tmp_path):
    store = ImageStore(IMAGES, tmp_path, ROOT / "kf_spawner")
    pythons = {
        item.folder: Interpreter(path="python", version=f"{item.pythons[0]}.1", machine="any")
        for item in spec.environments
    }
    image = Image(reference=spec.name, spec=spec, digest="0" * 64, path=tmp_path, layers={}, interpreters=pythons)
    wanted = store.environment(image)
    line = next(line for line in dockerfile if line.startswith("ENV "))
    env = {name: value.replace("${PYTHON}", "3.11") for name, value in re.findall(r"(\w+)=(\S+)", line)}
    env.pop("NVIDIA_DRIVER_CAPABILITIES", None)  # what a container runtime must bring in; a process has it all
    assert env.pop("HOME") == wanted.home
    assert env == {name: value.replace(str(tmp_path), "/opt/kf") for name, value in wanted.env.items()}
    entrypoint = [word.replace(str(tmp_path), "/opt/kf") for word in wanted.entrypoint]
    assert [line for line in dockerfile if line.startswith("ENTRYPOINT")] == (
        [f"ENTRYPOINT {json.dumps(entrypoint)}"] if entrypoint else []
    )
    assert f"CMD {json.dumps(wanted.cmd)}" in dockerfile
    assert f"WORKDIR {wanted.workdir}" in dockerfile
    assert "USER 1000:100" in dockerfile


def test_pins_are_exact_hashed_and_name_no_registry(spec):
    for environment in spec.environments:
        text = environment.requirements.read_text()
        lines = [
            line for line in re.sub(r"\\\n", " ", text).splitlines() if line and not line.lstrip().startswith("#")
        ]
        assert lines
        for line in lines:
            assert re.match(r"[a-z0-9.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line
        assert "://" not in text
        assert "--index" not in text


def test_description(spec):
    content = json.loads((spec.folder / "image.json").read_text())
    assert content["kind"] in ("notebook", "server")
    assert content["tensorflow"] in content["description"]
    assert content["python"] == spec.environments[0].pythons[0]
    assert spec.gpu == spec.name.endswith("-gpu")
