"""What a program gets that does not ask for anything else: the image and the home of its notebook server."""

from typing import cast

import pytest

from kf_spawner.workloads.access import NamespaceAccess
from kf_spawner.workloads.jobs import JobDefaults, Jobs

PROGRAM = {"name": "mnist", "program": "print(1)"}


def mounts(options: dict, *, mount: str | None) -> tuple[list[dict], str]:
    """The mounts of a replica's home, and where its program starts."""
    jobs = Jobs(cast(NamespaceAccess, None), JobDefaults(image="tf:1", claim="claim-ada", mount=mount))
    job = jobs._draft({"program": {**PROGRAM, **options}}).job
    container = job["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]
    homes = [entry for entry in container["volumeMounts"] if entry["name"] == "home"]
    return homes, container.get("workingDir", "")


@pytest.mark.parametrize(
    ("options", "mount", "expected"),
    [
        ({}, "/data/home", "/data/home"),
        ({"home_mount": "/mine"}, "/data/home", "/mine"),
        ({}, None, "/home/jovyan"),
        ({}, "", "/home/jovyan"),
    ],
)
def test_a_job_sees_the_home_where_its_server_does(options, mount, expected):
    assert mounts(options, mount=mount) == ([{"name": "home", "mountPath": expected}], expected)


def test_without_a_home_there_is_no_mount():
    assert mounts({"home_claim": None}, mount="/data/home") == ([], "")
