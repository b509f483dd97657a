"""All or nothing, whatever dies amid a submission: the API server, the notebook server, the connection."""

import asyncio

import pytest

from kf_spawner.kube import Client, Invalid, load_config
from kf_spawner.kube.resources import CONFIGMAPS
from kf_spawner.tfjob.names import TFJOBS
from kf_spawner.workloads import submission
from tests.fixtures.jupyter_server import run_server
from tests.fixtures.user_namespace import make_user_namespace, workspace_in


def job(name="job"):
    containers = [{"name": "tensorflow", "image": "a"}]
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"name": name},
        "spec": {"tfReplicaSpecs": {"Worker": {"template": {"spec": {"containers": containers}}}}},
    }


def config_map(name="job-program"):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"main.py": "print()"}}


def parts(**changes):
    owner = submission.Part(TFJOBS, {**job(), **changes})
    return {"owner": owner, "dependents": [submission.Part(CONFIGMAPS, config_map())]}


@pytest.fixture
async def user(workspace):
    async with Client(load_config(workspace.kubeconfig), user_agent="test") as client:
        yield client


class Dying(Exception):
    """Stands for `kill -9`: nothing of ours runs after it."""


async def test_an_owner_that_is_refused_leaves_no_dependent(user, workspace):
    with pytest.raises(Invalid):
        await submission.create(user, namespace=workspace.namespace, **parts(spec={"tfReplicaSpecs": {}}))
    assert await workspace.leftovers() == {}


async def test_a_submission_cut_off_before_its_owner_is_swept_away(user, workspace, monkeypatch):
    async def no_more(*_args, **_options):
        raise Dying

    with monkeypatch.context() as patched:
        create = submission._create
        calls = []

        async def once(*args, **options):
            calls.append(args)
            return await (create(*args, **options) if len(calls) == 1 else no_more())

        patched.setattr(submission, "_create", once)
        patched.setattr(submission, "_remove", no_more)
        with pytest.raises(Dying):
            await submission.create(user, namespace=workspace.namespace, **parts())
    assert await workspace.leftovers() == {"configmaps": ["job-program"]}
    options = {"namespace": workspace.namespace, "resource": CONFIGMAPS, "owner_resource": TFJOBS}
    assert await submission.sweep(user, **options, older_than=3600) == 1, "it may be in the making"
    assert await workspace.leftovers() == {"configmaps": ["job-program"]}
    assert await submission.sweep(user, **options, older_than=0) == 0
    assert await workspace.leftovers() == {}


async def test_a_submission_cut_off_after_its_owner_is_completed(user, workspace, monkeypatch):
    async def no_more(*_args, **_options):
        raise Dying

    with monkeypatch.context() as patched:
        patched.setattr(submission, "_adopt", no_more)
        with pytest.raises(Dying):
            await submission.create(user, namespace=workspace.namespace, **parts())
    options = {"namespace": workspace.namespace, "resource": CONFIGMAPS, "owner_resource": TFJOBS}
    assert await submission.sweep(user, **options, older_than=0) == 0
    owner = await user.get(TFJOBS, "job", workspace.namespace)
    dependent = await user.get(CONFIGMAPS, "job-program", workspace.namespace)
    assert [one["uid"] for one in dependent["metadata"]["ownerReferences"]] == [owner["metadata"]["uid"]]


async def test_an_orphan_of_an_earlier_job_of_that_name_is_not_given_to_the_next(user, workspace):
    orphan = config_map("job-program-old")
    orphan["metadata"]["labels"] = {submission.OWNER_KIND: "TFJob", submission.OWNER_NAME: "job"}
    orphan["metadata"]["annotations"] = {submission.SUBMISSION: "another"}
    await workspace.admin.create(CONFIGMAPS, orphan, workspace.namespace)
    await submission.create(user, namespace=workspace.namespace, **parts())
    options = {"namespace": workspace.namespace, "resource": CONFIGMAPS, "owner_resource": TFJOBS}
    assert await submission.sweep(user, **options, older_than=0) == 0
    assert (await workspace.leftovers())["configmaps"] == ["job-program"]


async def test_a_server_that_starts_sweeps(workspace, tmp_path):
    orphan = config_map()
    orphan["metadata"]["labels"] = {submission.OWNER_KIND: "TFJob", submission.OWNER_NAME: "job"}
    await workspace.admin.create(CONFIGMAPS, orphan, workspace.namespace)
    async with (
        run_server(workspace, tmp_path, settings=("--KubeflowExtension.orphan_age=1",)),
        asyncio.timeout(60),
    ):
        while await workspace.leftovers():
            await asyncio.sleep(0.1)


async def test_a_submission_outlives_a_kill_of_the_api_server(new_control_plane, tmp_path):
    """The API server is away when a job is sent, and comes back: the job is there once, with its program."""
    user_namespace = await make_user_namespace(new_control_plane.admin_kubeconfig, tmp_path)
    async with (
        workspace_in(user_namespace) as workspace,
        Client(load_config(workspace.kubeconfig), user_agent="test") as user,
    ):
        new_control_plane.kill("kube-apiserver")
        sending = asyncio.create_task(submission.create(user, namespace=workspace.namespace, **parts()))
        # Not in a thread that ends: what it started could end with it.
        await new_control_plane._start([spec for spec in new_control_plane.specs if spec.name == "kube-apiserver"])
        made = await asyncio.wait_for(sending, 60)
        assert made["metadata"]["name"] == "job"
        assert await workspace.leftovers() == {"tfjobs": ["job"], "configmaps": ["job-program"]}
