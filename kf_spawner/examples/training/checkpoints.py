"""Training that resumes after a worker was killed or drained from its node, or the job was suspended.

    script = "~/examples/training/checkpoints.py"
    TFJob.from_script(script, "slow-line", worker=2, restart_policy="ExitCode").submit().wait()

With the restart policy ExitCode a replica that ends with 128 or more (137: killed, 143: asked to stop) is created
again. One that ends with 1 to 127 fails the job, because a restart does not fix an error in the program.
"""

import signal
import sys
import time
from pathlib import Path

import tensorflow as tf

STEPS, EVERY, RATE = 200, 25, 0.005
FOLDER = Path.home() / "checkpoints" / "slow-line"
START_ME_AGAIN = 143

strategy = tf.distribute.MultiWorkerMirroredStrategy()
leads = strategy.cluster_resolver.task_id in (0, None)  # None: a job of one worker has no TF_CONFIG

# A pod that must end gets SIGTERM, then SIGKILL after its grace period (30 s): time for a checkpoint.
told_to_stop: list[bool] = []
signal.signal(signal.SIGTERM, lambda *_: told_to_stop.append(True))  # after the strategy, which sets its own handler

with strategy.scope():
    slope = tf.Variable(0.0)
    step = tf.Variable(0)
checkpoints = tf.train.CheckpointManager(tf.train.Checkpoint(slope=slope, step=step), FOLDER, max_to_keep=3)
checkpoints.restore_or_initialize()
print(f"starts at step {step.numpy()}")


def train_replica(told):
    """One step towards y = 3x."""
    x = tf.linspace(-1.0, 1.0, 64)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((slope * x - 3 * x) ** 2)
    gradient = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, tape.gradient(loss, slope))
    slope.assign_sub(RATE * gradient)
    return told


@tf.function
def train(told):
    """One step; how many workers have been told to stop. All workers hear the same, and stop after the same step."""
    return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(train_replica, args=(told,)), axis=None)


def save():
    if leads:  # one writes for all: the model is the same everywhere
        checkpoints.save(checkpoint_number=step.numpy())
        print(f"saved step {step.numpy()}")


try:
    stopping = 0
    while step < STEPS and not stopping:
        stopping = train(tf.constant(len(told_to_stop)))
        step.assign_add(1)  # only now: a step that fails halfway does not count
        time.sleep(0.02)  # stands in for a bigger model
        if step % EVERY == 0:
            save()
except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
    print(f"another worker is gone ({type(error).__name__}): back to the last checkpoint")
    sys.exit(START_ME_AGAIN)
if stopping:
    print(f"told to stop after step {step.numpy()}")
    save()
    sys.exit(START_ME_AGAIN)
print(f"slope {slope.numpy():.5f} after {step.numpy()} steps")
