"""The example programs as TFJobs: real TensorFlow, the real control plane, the operator and the local node.

Each run is judged by the number that it arrives at, and by the job's status.
"""

import json
import signal
import time

import pytest

from tests.e2e.kubectl import Kubectl

from .jobs import EXAMPLES, Jobs, conditions, ended_at

pytestmark = pytest.mark.timeout(600)  # several starts of TensorFlow, also on a busy machine
PLANE = [1.5, -2.0, 0.5]
SLOW_STEPS, SLOW_RATE, SAVED_EVERY = 200, 0.005, 25  # of checkpoints.py


async def test_workers_train_one_model_together(jobs: Jobs) -> None:
    await jobs.run("multi_worker.py", "line", replicas={"worker": 2})
    status = await jobs.succeeded("line")
    lines = jobs.log("line-worker-0").lines
    assert "worker 0 of 2" in lines
    assert f"step 20: 64 points, loss {line_loss(20):.6f}" in lines, "as one process with all the data"
    assert "slope 3.00000, offset 2.00000" in lines
    assert "worker 1 of 2" in jobs.log("line-worker-1").lines
    assert status["replicaStatuses"]["Worker"]["succeeded"] == 2


async def test_a_chief_hands_out_steps(jobs: Jobs) -> None:
    await jobs.run("parameter_server.py", "plane", replicas={"chief": 1, "worker": 2, "ps": 1})
    status = await jobs.succeeded("plane")
    lines = jobs.log("plane-chief-0").lines
    assert values(lines, "weights") == pytest.approx(PLANE, abs=1e-4)
    steps = values(lines, "steps of each worker")
    assert sum(steps) == 400
    assert all(steps), "both workers worked"
    assert status["replicaStatuses"]["Chief"]["succeeded"] == 1
    assert [pod["metadata"]["name"] for pod in await jobs.pods("plane")] == ["plane-chief-0"], "the others are gone"


async def test_an_evaluator_beside_the_training(jobs: Jobs) -> None:
    await jobs.run(
        "evaluator.py",
        "digits",
        replicas={"chief": 1, "worker": 1, "evaluator": 1},
        run_policy={"waitForEvaluator": True},
    )
    await jobs.running("digits-evaluator-0")
    await jobs.signal("digits-evaluator-0", signal.SIGSTOP)
    await jobs.ended("digits-chief-0")
    assert conditions(await jobs.get("digits"))["Running"] == "True", "it waits for the evaluator"
    await jobs.signal("digits-evaluator-0", signal.SIGCONT)
    status = await jobs.succeeded("digits")
    accuracy = json.loads((jobs.home / "checkpoints" / "digits" / "accuracy.json").read_text())
    assert accuracy["12"] > 0.85
    pods = {pod["metadata"]["name"]: pod for pod in await jobs.pods("digits")}
    assert "digits-evaluator-0" in pods, "it was let finish"
    assert pods["digits-evaluator-0"]["status"]["phase"] == "Succeeded"
    assert status["completionTime"] >= ended_at(pods["digits-evaluator-0"])


async def test_between_graph_replication_of_tensorflow_1_8(jobs: Jobs, old_tensorflow: str) -> None:
    await jobs.run("between_graph.py", "plane", image=old_tensorflow, replicas={"worker": 2, "ps": 1})
    await jobs.succeeded("plane")
    lines = jobs.log("plane-worker-0").lines
    assert values(lines, "weights", end=" after 600 steps of all workers") == pytest.approx(PLANE, abs=1e-4)
    assert "worker 1 made 300 steps" in jobs.log("plane-worker-1").lines
    assert (jobs.home / "checkpoints" / "plane" / "checkpoint").exists()


async def test_a_v1alpha2_manifest_on_tensorflow_1_8(kubectl: Kubectl, jobs: Jobs, old_tensorflow: str) -> None:
    """The walkthrough's job as it was written for Kubeflow 0.2: a product on each of master, worker and two ps."""
    manifest = EXAMPLES / "tfjob-v1alpha2.yaml"
    assert f"/{old_tensorflow}:" in manifest.read_text()
    assert "example-job created" in kubectl("apply", "-n", jobs.namespace, "-f", str(manifest))
    for task in ("master-0", "worker-0", "ps-0", "ps-1"):
        jobs.follow(f"example-job-{task}")
    status = await jobs.succeeded("example-job")
    row = [n * n for n in range(90, 100)]
    lines = jobs.log("example-job-master-0").lines
    for place in ("/job:master/task:0", "/job:worker/task:0", "/job:ps/task:0", "/job:ps/task:1"):
        assert f"{place} {row}" in lines
    assert status["replicaStatuses"]["Master"]["succeeded"] == 1
    assert [pod["metadata"]["name"] for pod in await jobs.pods("example-job")] == ["example-job-master-0"]


async def test_a_killed_worker_is_created_again_and_continues(jobs: Jobs) -> None:
    await jobs.run("checkpoints.py", "slow-line", replicas={"worker": 2}, restart_policy="ExitCode")
    await jobs.says("slow-line-worker-0", "saved step 50")
    await jobs.signal("slow-line-worker-1", signal.SIGKILL)  # as the kernel does when memory is short
    status = await jobs.succeeded("slow-line")
    killed, leader = jobs.log("slow-line-worker-1"), jobs.log("slow-line-worker-0")
    assert len(killed.lives) == 2
    first, again = killed.numbers("starts at step")
    assert first == 0
    assert again >= 50
    assert again % SAVED_EVERY == 0
    saved = leader.numbers("saved step")
    assert saved == sorted(set(saved)), "no step was made twice"
    # After so many steps the line is not yet found: its slope tells how many there were, to a single one.
    assert f"slope {slope_after(SLOW_STEPS):.5f} after {SLOW_STEPS} steps" in leader.lines
    events = await jobs.events("slow-line")
    assert ("ExitedWithCode", f"Pod: {jobs.namespace}.slow-line-worker-1 exited with code 137") in events
    assert "TFJobRestarting" in {reason for reason, _ in events}
    assert status["tasks"]["worker-1"]["restarts"] == 1


async def test_a_suspended_job_goes_on_where_it_was(jobs: Jobs) -> None:
    await jobs.run("checkpoints.py", "slow-line", replicas={"worker": 1})
    await jobs.says("slow-line-worker-0", "saved step 50")
    began = time.monotonic()
    await jobs.patch("slow-line", {"runPolicy": {"suspend": True}})
    await jobs.says("slow-line-worker-0", "told to stop after step")
    job = await jobs.has("slow-line", "Suspended")
    assert conditions(job)["Running"] == "False"
    await jobs.until_gone("slow-line")
    assert time.monotonic() - began < 25, "it ended by itself, not by SIGKILL at the end of its grace period"
    log = jobs.log("slow-line-worker-0")
    (left_at,) = log.numbers("told to stop after step")
    assert f'ckpt-{left_at}"' in (jobs.home / "checkpoints" / "slow-line" / "checkpoint").read_text()
    await jobs.patch("slow-line", {"runPolicy": {"suspend": False}})
    status = await jobs.succeeded("slow-line")
    assert log.numbers("starts at step") == [0, left_at]
    assert log.lines[-1] == f"slope {slope_after(SLOW_STEPS):.5f} after {SLOW_STEPS} steps"
    assert [entry["type"] for entry in status["conditions"] if entry["status"] == "True"] == ["Created", "Succeeded"]


async def test_a_worker_joins_a_running_job(jobs: Jobs) -> None:
    await jobs.apply("training/dynamic_workers.yaml")
    await jobs.has("shares", "Running")
    await jobs.patch("shares", {"tfReplicaSpecs": {"Worker": {"replicas": 2}}})
    jobs.follow("shares-worker-1")
    status = await jobs.succeeded("shares")
    done = [
        max(jobs.log(f"shares-worker-{index}").numbers(f"worker {index} has done"), default=0) for index in (0, 1)
    ]
    assert all(done), "both workers worked"
    assert 60 <= sum(done) < 80, "hardly a share was done twice"
    assert values(jobs.log("shares-worker-0").lines, "weights") == pytest.approx(PLANE, abs=1e-3)
    assert status["replicaStatuses"]["Worker"]["succeeded"] == 2


def line_loss(step: int, *, points: int = 64, rate: float = 0.3) -> float:
    """The loss at a step of gradient descent from 0 towards y = 3x + 2, worked out without TensorFlow."""
    mean_square = (points + 1) / (3 * (points - 1))  # of evenly spaced x from -1 to 1
    slope = 3 * (1 - 2 * rate * mean_square) ** (step - 1)
    offset = 2 * (1 - 2 * rate) ** (step - 1)
    return slope**2 * mean_square + offset**2


def slope_after(steps: int) -> float:
    mean_square = 65 / (3 * 63)
    return 3 * (1 - (1 - 2 * SLOW_RATE * mean_square) ** steps)


def values(lines: list[str], start: str, *, end: str = "") -> list[float]:
    """The list of numbers in the line that begins and ends so."""
    line = next(line for line in lines if line.startswith(start + " [") and line.endswith(end))
    return json.loads(line.removeprefix(start).removesuffix(end))
