"""What a dry run of the API server's says about a job's templates, and what it says only about Deployments."""

import pytest

from kf_spawner.kube import Forbidden
from kf_spawner.workloads.preflight import wrong_templates

JOB = {"spec": {"tfReplicaSpecs": {"Worker": {"template": {"spec": {"containers": []}}}}}}
NO_ROOM = (
    'deployments.apps "check-x" is forbidden: exceeded quota: kf-spawner, requested: count/deployments.apps=1, '
    "used: count/deployments.apps=50, limited: count/deployments.apps=50"
)


class Refusing:
    """A client whose every request is forbidden."""

    def __init__(self, message: str) -> None:
        self._error = Forbidden(403, "Forbidden", message)

    async def request(self, *_args: object, **_more: object) -> None:
        raise self._error


async def test_a_namespace_full_of_endpoints_still_takes_jobs():
    assert await wrong_templates(Refusing(NO_ROOM), JOB, namespace="kf-ada") == []


async def test_another_refusal_is_told():
    with pytest.raises(Forbidden, match="no rights"):
        await wrong_templates(Refusing("no rights"), JOB, namespace="kf-ada")
