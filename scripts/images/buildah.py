"""The calls of buildah that building images takes. Knows no image of ours."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from .programs import BuildFailed, run

CA_BUNDLE = "/run/host-ca.crt"
PASSED_ON = ("PIP_INDEX_URL", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
"""Variables of the caller that a build needs, too. By name alone: a value may hold a password, and argv is public."""


def present(reference: str) -> bool:
    """Whether the storage has the image."""
    try:
        run(["buildah", "inspect", "--type", "image", "--format", "{{.FromImageID}}", reference])
    except BuildFailed:
        return False
    return True


def pull(reference: str, *, timeout: float) -> None:
    """Fetches an image that is not there yet. Raises BuildFailed."""
    if not present(reference):
        run(["buildah", "pull", "--quiet", reference], timeout=timeout)


def from_tree(reference: str, tree: Path, *, environment: Mapping[str, str]) -> None:
    """Makes an image of one layer that holds the folder `tree`."""
    container = run(["buildah", "from", "scratch"]).strip()
    try:
        run(["buildah", "copy", "--quiet", container, f"{tree}/", "/"])
        settings = [f"--env={name}={value}" for name, value in environment.items()]
        run(["buildah", "config", *settings, container])
        run(["buildah", "commit", "--quiet", container, reference])
    finally:
        run(["buildah", "rm", container])


def build(reference: str, dockerfile: Path, context: Path, *, arguments: Mapping[str, str]) -> str:
    """Builds an image and returns its id. Layers that have not changed are taken from the last time."""
    command = ["buildah", "build", "--isolation", "chroot", "--network", "host", "--format", "docker", "--layers"]
    # Without it, a stage that comes from the cache leaves its container behind.
    command.append("--force-rm")
    command += [f"--build-arg={name}={value}" for name, value in arguments.items()]
    command += [f"--build-arg={name}" for name in PASSED_ON if name in os.environ]
    if bundle := ca_bundle():
        command += ["--volume", f"{bundle}:{CA_BUNDLE}:ro", f"--build-arg=PIP_CERT={CA_BUNDLE}"]
    run([*command, "--quiet", "--tag", reference, "--file", str(dockerfile), str(context)])
    return inspect(reference)["FromImageID"]


def ca_bundle(variables: Sequence[str] = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")) -> str:
    """The file of certificates that this machine was told to trust; empty where it has none of its own."""
    return next((os.environ[name] for name in variables if os.environ.get(name)), "")


def inspect(reference: str) -> dict:
    """What buildah knows of an image."""
    return json.loads(run(["buildah", "inspect", "--type", "image", reference]))


def save(reference: str, archive: Path, *, name: str) -> None:
    """Writes the image to a docker-archive that gives it the reference `name` wherever it is loaded."""
    partial = archive.with_name(f".partial-{archive.name}")
    partial.unlink(missing_ok=True)
    run(["buildah", "push", "--quiet", reference, f"docker-archive:{partial}:{name}"])
    partial.replace(archive)


def read_file(reference: str, path: str) -> bytes:
    """A file's content in an image."""
    container = run(["buildah", "from", "--pull-never", reference]).strip()
    try:
        root = Path(run(["buildah", "mount", container]).strip())
        return (root / path.lstrip("/")).read_bytes()
    finally:
        run(["buildah", "rm", container])
