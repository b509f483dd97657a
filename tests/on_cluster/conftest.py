"""The cluster that the variable CLUSTER names, and a namespace for each test. KUBECONFIG is never looked at."""

import asyncio
import os
import secrets
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from kf_spawner.kube import Client, load_config
from kf_spawner.kube.resources import NAMESPACES, SERVICEACCOUNTS
from kf_spawner.localcluster.controlplane.binaries import Binaries
from tests.fixtures import helm as helms

from .platform import Occupant, Platform, installed

PATIENCE = 120.0
PAUSE = 0.1

Kubectl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    named = os.environ.get("CLUSTER", "")
    if not named:
        pytest.fail("CLUSTER names no kubeconfig: run 'make test-cluster', or set it to a cluster that tests may use")
    return Path(named)


@pytest.fixture(scope="session")
def helm_program() -> Path:
    return asyncio.run(helms.ensure(print))


@pytest.fixture(scope="session")
def occupant() -> Iterator[Occupant]:
    """Who wants something of its own installed takes it from here."""
    occupant = Occupant()
    yield occupant
    occupant.leave()


@pytest.fixture(scope="session")
def default_platform(
    occupant: Occupant, helm_program: Path, kubeconfig: Path, kubectl: Kubectl, tmp_path_factory
) -> Callable[[], Platform]:
    """A call brings the cluster to the chart without values, up, whatever was installed there before."""

    def bring() -> Platform:
        found = occupant.be("default", make)
        found.install_default()
        return found

    def make() -> AbstractContextManager[Platform]:
        return installed(helm_program, kubeconfig, kubectl, tmp_path_factory.mktemp("platform"))

    return bring


@pytest.fixture
def platform(default_platform: Callable[[], Platform]) -> Platform:
    """The chart without values: one installation for all tests that only look at it or change its values."""
    return default_platform()


@pytest.fixture
async def client(kubeconfig: Path) -> AsyncIterator[Client]:
    """An administrator's."""
    async with Client(load_config(kubeconfig), user_agent="test") as client:
        yield client


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path, control_plane_binaries: Binaries) -> Kubectl:
    """The real kubectl; look at .returncode yourself."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [str(control_plane_binaries.kubectl), f"--kubeconfig={kubeconfig}", *arguments]
        return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)

    return run


@pytest.fixture
async def namespace(client: Client) -> AsyncIterator[str]:
    """A namespace of the test's own, in which pods can be made; it goes with all that is in it."""
    name = f"test-{secrets.token_hex(4)}"
    await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        await until(lambda: client.list(SERVICEACCOUNTS, name), lambda found: bool(found["items"]))
        yield name
    finally:
        await client.delete(NAMESPACES, name)


async def until(ask: Callable, good: Callable[[dict], bool], *, patience: float = PATIENCE) -> dict:
    """What `ask()` answers once that is `good`."""
    answer: dict = {}
    try:
        async with asyncio.timeout(patience):
            while not good(answer := await ask()):
                await asyncio.sleep(PAUSE)
    except TimeoutError:
        pytest.fail(f"not so within {patience:g} s: {answer}")
    return answer
