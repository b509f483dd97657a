"""What `up` gives the processes of the local cluster: the network's settings reach the node, and nobody else."""

import re
from pathlib import Path

import pytest

from kf_spawner.cli import components, local
from kf_spawner.cli.bootstrap import CannotApply, SetUpError
from kf_spawner.cli.home import Home
from kf_spawner.kube.errors import ApiError, Forbidden, Invalid, Unreachable
from kf_spawner.localcluster.controlplane.binaries import KUBECTL, SERVERS
from kf_spawner.localcluster.node.image.build import PIP_SETTINGS, REMEDIES, build_environ
from kf_spawner.localcluster.supervisor import NotReady, ProcessSpec

PAGE = Path(__file__).resolve().parents[2] / "docs" / "images.md"
VARIABLE = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b")


def told() -> set[str]:
    """The variables that the docs, a failed pull's remedies and the image build itself name."""
    section = PAGE.read_text().partition("### Networks with a proxy")[2].partition("###")[0]
    return {*VARIABLE.findall(section + " ".join(REMEDIES.values())), *PIP_SETTINGS, *PIP_SETTINGS.values()}


@pytest.fixture
def settings(tmp_path, monkeypatch):
    assets = tmp_path / "assets"
    assets.mkdir()
    for name in (*SERVERS, KUBECTL):
        (assets / name).touch(mode=0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    home = Home(tmp_path / "home")
    home.make()
    names = (*components.PORTS, *local.PORTS)
    ports = {name: 20000 + number for number, name in enumerate(names)}
    return components.Settings(home=home, host="127.0.0.1", port=8000, ports=ports, share=tmp_path)


async def test_what_an_image_is_pulled_with_reaches_the_node_alone(settings, monkeypatch):
    names = {*told(), "HTTP_PROXY", "NO_PROXY", "https_proxy", "no_proxy"}
    assert {"HTTPS_PROXY", "UV_DEFAULT_INDEX", "PIP_CERT", "SSL_CERT_FILE"} <= names
    for name in names:
        monkeypatch.setenv(name, f"the caller's {name}")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    specs = {spec.name: spec for spec in (await local.prepare(settings, user="admin", progress=print)).specs}
    pulled = build_environ(settings.home.node, specs.pop("node").env)
    assert {name: pulled.get(name) for name in names} == {name: f"the caller's {name}" for name in names}
    assert "AWS_SECRET_ACCESS_KEY" not in pulled
    specs["operator"] = components.operator(settings, kubeconfig=settings.home.kubeconfig, after=())
    for spec in specs.values():
        assert not {name for name in spec.env if "PROXY" in name.upper() or name.startswith(("UV_", "PIP_"))}, spec


def test_the_hub_gets_the_folder_of_its_configuration(settings, monkeypatch):
    monkeypatch.setenv("KF_CONFIG_DIR", "/etc/hub")
    tokens = {"token": "the hub's", "dashboard_token": "the dashboard's"}
    spec = components.hub(settings, kubeconfig=settings.home.kubeconfig, **tokens, by_the_door=False)
    assert spec.env["KF_CONFIG_DIR"] == "/etc/hub"


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (Invalid(422, "Invalid", "roleRef cannot be changed"), SetUpError),
        (Forbidden(403, "Forbidden", "the namespace is being terminated"), NotReady),
        (Unreachable("it is starting"), NotReady),
    ],
)
async def test_why_the_platforms_objects_are_not_there_is_told(monkeypatch, cause: ApiError, told: type[Exception]):
    async def answers() -> bool:
        return True

    async def refuse(kubeconfig, objects):
        raise CannotApply(f"cannot make it: {cause}") from cause

    monkeypatch.setattr(local, "apply_all", refuse)
    spec = local._bootstrapped(ProcessSpec("kube-apiserver", [], {}, answers), Path("kubeconfig"), [])
    with pytest.raises(told, match=cause.message):
        await spec.ready()
