"""TensorFlow 1.8's between-graph replication: each worker has its graph, parameter servers hold variables.

    TFJob.from_script("~/examples/training/between_graph.py", "plane", worker=2, ps=1).submit().wait()

Run it in a notebook of the image tensorflow-1.8.0-notebook-cpu. Without a chief or master worker 0 leads. It makes
the session that the others wait for, and the job ends when it ends.
"""

import json
import os
import time

import tensorflow as tf

STEPS, BATCH, RATE = 300, 32, 0.05  # steps of each worker
TRUTH = [[1.5], [-2.0], [0.5]]

config = json.loads(os.environ["TF_CONFIG"])
task, index = config["task"]["type"], config["task"]["index"]
server = tf.train.Server(config["cluster"], job_name=task, task_index=index)
if task == "ps":
    print(f"ps {index} serves")
    server.join()  # never returns; the job's clean-up policy ends it

here = f"/job:worker/task:{index}"
with tf.device(tf.train.replica_device_setter(cluster=config["cluster"], worker_device=here)):
    x = tf.random_normal([BATCH, 3])
    y = tf.matmul(x, tf.constant(TRUTH))
    weights = tf.get_variable("weights", [3, 1], initializer=tf.zeros_initializer())
    loss = tf.reduce_mean(tf.squared_difference(tf.matmul(x, weights), y))
    step = tf.train.get_or_create_global_step()
    train = tf.train.GradientDescentOptimizer(RATE).minimize(loss, global_step=step)
missing = tf.report_uninitialized_variables()

# Without the filter a session waits for all workers, including one that is created again.
options = tf.ConfigProto(device_filters=["/job:ps", here])
if index > 0:  # worker 0 initializes the variables: a session that waits for it checks again after 30 s only
    with tf.Session(server.target, config=options) as session:
        while session.run(missing).size:
            time.sleep(0.1)
with tf.train.MonitoredTrainingSession(
    master=server.target,
    is_chief=index == 0,
    checkpoint_dir=os.path.expanduser("~/checkpoints/plane"),
    config=options,
) as session:
    for _ in range(STEPS):
        session.run(train)
    print(f"worker {index} made {STEPS} steps")
    # Worker 0 ends last, because the others end with it.
    while index == 0 and session.run(step) < STEPS * len(config["cluster"]["worker"]):
        time.sleep(0.1)
    found, total = session.run([weights, step])
print(f"weights {found.ravel().tolist()} after {total} steps of all workers")
