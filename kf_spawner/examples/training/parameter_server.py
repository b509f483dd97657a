"""A chief that distributes steps to workers, with the model on parameter servers (ParameterServerStrategy).

    TFJob.from_script("~/examples/training/parameter_server.py", "plane", chief=1, worker=2, ps=1).submit().wait()

Workers do not wait for each other. A lost worker is created again and gets new steps. The job ends when the chief
ends.
"""

import tensorflow as tf

STEPS, BATCH, RATE = 400, 32, 0.1
TRUTH = tf.constant([[1.5], [-2.0], [0.5]])

resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
if resolver.task_type != "chief":
    print(f"{resolver.task_type} {resolver.task_id} serves")
    server = tf.distribute.Server(resolver.cluster_spec(), resolver.task_type, resolver.task_id, protocol="grpc")
    server.join()  # never returns; the job's clean-up policy ends it

strategy = tf.distribute.ParameterServerStrategy(resolver)
coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
workers = len(resolver.cluster_spec().as_dict()["worker"])

with strategy.scope():  # the parameter servers hold its variables
    weights = tf.Variable(tf.zeros([3, 1]))
    steps_by_worker = tf.Variable(tf.zeros([workers], tf.int32))


def examples():
    """Made on each worker."""
    x = tf.data.Dataset.random().map(lambda seed: tf.random.stateless_normal([BATCH, 3], [seed, 0]))
    return x.map(lambda x: (x, x @ TRUTH))


@tf.function
def train(batches):
    """Runs on whichever worker is free."""
    x, y = next(batches)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((x @ weights - y) ** 2)
    weights.assign_sub(RATE * tape.gradient(loss, weights))
    worker = tf.distribute.coordinator.experimental_get_current_worker_index()
    steps_by_worker.assign_add(tf.one_hot(worker, workers, dtype=tf.int32))
    return loss


batches = iter(coordinator.create_per_worker_dataset(examples))
for step in range(1, STEPS + 1):
    loss = coordinator.schedule(train, args=(batches,))
    if step % 100 == 0:
        coordinator.join()  # waits until all scheduled steps are done
        print(f"step {step}: loss {loss.fetch():.6f}")
print("weights", weights.numpy().ravel().tolist())
print("steps of each worker", steps_by_worker.numpy().tolist())
