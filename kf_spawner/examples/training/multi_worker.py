"""Workers that train one model together, each on its share of the data (MultiWorkerMirroredStrategy).

    TFJob.from_script("~/examples/training/multi_worker.py", "line", worker=2).submit().wait()

Every worker computes the gradient of its share and applies the sum over all workers. So the model is the same on all
workers, and the same as on one machine.
"""

import tensorflow as tf

POINTS, STEPS, RATE = 64, 100, 0.3

# Reads TF_CONFIG, and returns when all workers are connected. Nothing may use TensorFlow before it.
strategy = tf.distribute.MultiWorkerMirroredStrategy()
worker = strategy.cluster_resolver.task_id
print(f"worker {worker} of {strategy.num_replicas_in_sync}")


def share_of_data(context):
    """This worker's points of the line y = 3x + 2, all of them in one batch."""
    x = tf.linspace(-1.0, 1.0, POINTS)
    data = tf.data.Dataset.from_tensor_slices((x, 3 * x + 2))
    return data.shard(context.num_input_pipelines, context.input_pipeline_id).batch(POINTS).repeat()


with strategy.scope():
    slope = tf.Variable(0.0)
    offset = tf.Variable(0.0)


def train_on_share(x, y):
    with tf.GradientTape() as tape:
        # The mean over all points, not over the share: the workers' losses and gradients are summed.
        loss = tf.reduce_sum((slope * x + offset - y) ** 2) / POINTS
    gradients = tape.gradient(loss, [slope, offset])
    gradients = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    for variable, gradient in zip([slope, offset], gradients, strict=True):
        variable.assign_sub(RATE * gradient)
    return loss, tf.size(x)


@tf.function
def train(batch):
    losses, sizes = strategy.run(train_on_share, args=batch)
    return [strategy.reduce(tf.distribute.ReduceOp.SUM, each, axis=None) for each in (losses, sizes)]


batches = iter(strategy.distribute_datasets_from_function(share_of_data))
for step in range(1, STEPS + 1):
    loss, points = train(next(batches))
    if step % 20 == 0:
        print(f"step {step}: {points} points, loss {loss:.6f}")
print(f"slope {slope.numpy():.5f}, offset {offset.numpy():.5f}")
