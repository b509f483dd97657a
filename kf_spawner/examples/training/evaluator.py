"""An evaluator beside the training: it reads each checkpoint and writes its accuracy.

    TFJob.from_script(
        "~/examples/training/evaluator.py", "digits", chief=1, worker=1, evaluator=1,
        run_policy={"waitForEvaluator": True},
    ).submit().wait()

The job ends when the chief ends, and the chief writes the last checkpoint at its end. With `waitForEvaluator` the job
also waits for the evaluator. The evaluator is not part of the training's cluster.
"""

import json
import os
from pathlib import Path

import tensorflow as tf
from sklearn.datasets import load_digits

EPOCHS, BATCH, RATE = 12, 250, 1.0
FOLDER = Path.home() / "checkpoints" / "digits"
RESULT = FOLDER / "accuracy.json"

images, labels = load_digits(return_X_y=True)  # 1,797 pictures of 8 x 8 points
images = (images / 16).astype("float32")
training, testing = (images[:1500], labels[:1500]), (images[1500:], labels[1500:])


def model():
    return tf.train.Checkpoint(weights=tf.Variable(tf.zeros([64, 10])), biases=tf.Variable(tf.zeros([10])))


def scores(digits, x):
    return tf.matmul(x, digits.weights) + digits.biases


def epoch_of(checkpoint):
    return int(checkpoint.rpartition("-")[2])


def train():
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    data = tf.data.Dataset.from_tensor_slices(training).shuffle(1500, seed=1).batch(BATCH, drop_remainder=True)
    batches = strategy.experimental_distribute_dataset(data)  # each worker gets its share of every batch
    with strategy.scope():
        digits = model()
    checkpoints = tf.train.CheckpointManager(digits, FOLDER, max_to_keep=None)
    begun = checkpoints.restore_or_initialize()  # after a restart it continues there

    def train_on_share(x, y):
        with tf.GradientTape() as tape:
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=scores(digits, x))
            loss = tf.reduce_sum(loss) / BATCH
        variables = [digits.weights, digits.biases]
        gradients = tape.gradient(loss, variables)
        gradients = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_sub(RATE * gradient)

    @tf.function
    def train_on(batch):
        strategy.run(train_on_share, args=batch)

    for epoch in range(epoch_of(begun) + 1 if begun else 1, EPOCHS + 1):
        for batch in batches:
            train_on(batch)
        if task["type"] == "chief" and epoch % 4 == 0:
            print("wrote", checkpoints.save(checkpoint_number=epoch))


def evaluate():
    digits = model()
    accuracy = {}
    for path in tf.train.checkpoints_iterator(FOLDER, min_interval_secs=1):
        digits.restore(path).expect_partial()
        epoch = epoch_of(path)
        right = tf.argmax(scores(digits, testing[0]), axis=1) == testing[1]
        accuracy[epoch] = float(tf.reduce_mean(tf.cast(right, tf.float32)))
        print(f"after epoch {epoch}: accuracy {accuracy[epoch]:.4f}")
        RESULT.write_text(json.dumps(accuracy))
        if epoch == EPOCHS:
            return


task = json.loads(os.environ["TF_CONFIG"])["task"]
evaluate() if task["type"] == "evaluator" else train()
