"""Run by an image's Python: writes the models that the tests serve below the folder in its argument."""

import sys
from pathlib import Path

import tensorflow as tf

FLOAT, INT, TEXT, BOOL = tf.float32, tf.int64, tf.string, tf.bool


class Half(tf.Module):
    """y = x / 2 + bias, with a variable; and a signature that says which version it is."""

    def __init__(self, bias: float) -> None:
        super().__init__()
        self.bias = tf.Variable(bias)

    @tf.function(input_signature=[tf.TensorSpec([None], FLOAT, name="x")])
    def half(self, x):
        return {"y": x / 2.0 + self.bias}


class Kinds(tf.Module):
    """Signatures of many shapes and types. `count` counts its own calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = tf.Variable(0)

    @tf.function(input_signature=[])
    def count(self):
        return {"calls": self.calls.assign_add(1)}

    @tf.function(input_signature=[tf.TensorSpec([None, 2], FLOAT, name="x"), tf.TensorSpec([None], INT, name="k")])
    def two(self, x, k):
        return {"sum": tf.reduce_sum(x, axis=1), "twice": k * 2}

    @tf.function(input_signature=[tf.TensorSpec([None], TEXT, name="image_bytes")])
    def binary(self, image_bytes):
        return {"length": tf.strings.length(image_bytes), "image_bytes": image_bytes, "text": image_bytes}

    @tf.function(input_signature=[tf.TensorSpec([None], TEXT, name="s")])
    def upper(self, s):
        return {"out": tf.strings.upper(s)}

    @tf.function(input_signature=[tf.TensorSpec(None, BOOL, name="b")])
    def negate(self, b):
        return {"out": tf.logical_not(b)}

    @tf.function(input_signature=[tf.TensorSpec([], FLOAT, name="x")])
    def scalar(self, x):
        return {"out": x + 1.0}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.uint8, name="x")])
    def small(self, x):
        return {"out": x}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float64, name="x")])
    def wide(self, x):
        return {"out": tf.identity(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float16, name="x")])
    def narrow(self, x):
        return {"half": tf.identity(x), "brain": tf.cast(x, tf.bfloat16)}

    @tf.function(input_signature=[tf.TensorSpec([None], FLOAT, name="x")])
    def uneven(self, x):
        return {"a": x, "b": x[:1]}

    @tf.function(input_signature=[tf.TensorSpec([None, None], FLOAT, name="x")])
    def inverse(self, x):
        return {"out": tf.linalg.inv(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.complex64, name="x")])
    def complex(self, x):
        return {"out": tf.math.real(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], TEXT, name="inputs")])
    def regress(self, inputs):
        x = tf.io.parse_example(
            inputs, {"x": tf.io.FixedLenFeature([1], FLOAT), "add": tf.io.FixedLenFeature([1], INT, 3)}
        )
        return {"outputs": x["x"] / 2 + tf.cast(x["add"], FLOAT)}

    @tf.function(input_signature=[tf.TensorSpec([None], TEXT, name="inputs")])
    def classify(self, inputs):
        x = tf.io.parse_example(inputs, {"words": tf.io.FixedLenFeature([2], TEXT)})["words"]
        return {"classes": tf.strings.upper(x), "scores": tf.cast(tf.strings.length(x), FLOAT) / 10}

    @tf.function(input_signature=[tf.TensorSpec([None], TEXT, name="inputs")])
    def scores(self, inputs):
        return {"scores": tf.zeros([tf.size(inputs), 1])}

    @tf.function(input_signature=[tf.TensorSpec([None], TEXT, name="s")])
    def ragged(self, s):
        return {"words": tf.strings.split(s), "letters": tf.strings.unicode_split(tf.strings.split(s), "UTF-8")}

    @tf.function(input_signature=[tf.TensorSpec([None, 3], FLOAT, name="x")])
    def sparse(self, x):
        return {"y": tf.sparse.from_dense(x)}

    @tf.function(input_signature=[tf.TensorSpec([1], INT, name="steps")])
    def slow(self, steps):
        return {
            "out": tf.reshape(
                tf.while_loop(lambda i: i < steps[0], lambda i: (i + 1,), (tf.constant(0, INT),))[0], [1]
            )
        }


class Lookup(tf.Module):
    """A table that has to be initialised from an asset file. `count` counts what it was given."""

    def __init__(self, vocabulary: str) -> None:
        super().__init__()
        source = tf.lookup.TextFileInitializer(
            vocabulary, TEXT, tf.lookup.TextFileIndex.WHOLE_LINE, INT, tf.lookup.TextFileIndex.LINE_NUMBER
        )
        self.table = tf.lookup.StaticHashTable(source, -1)
        self.seen = tf.Variable(0)

    @tf.function(input_signature=[tf.TensorSpec([None], TEXT, name="inputs")])
    def count(self, inputs):
        seen = self.seen.assign_add(tf.size(inputs) + tf.reduce_sum(tf.strings.length(inputs)))
        return {"outputs": tf.fill([tf.size(inputs)], tf.cast(seen, FLOAT))}

    @tf.function(input_signature=[tf.TensorSpec([None], TEXT, name="word")])
    def find(self, word):
        return {"index": self.table.lookup(word)}


def tag(model: Path, name: str) -> None:
    """Adds a tag to the model's graph."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    file = model / "saved_model.pb"
    saved = SavedModel.FromString(file.read_bytes())
    saved.meta_graphs[0].meta_info_def.tags.append(name)
    file.write_bytes(saved.SerializeToString())


def record(model: Path) -> None:
    """Requests to warm the model up: one of each kind, and one for a signature that is not there."""
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    predict, classify, regress, wrong = (PredictionLog() for _ in range(4))
    asked = predict.predict_log.request
    asked.model_spec.signature_name = "count"
    asked.inputs["inputs"].CopyFrom(tf.make_tensor_proto([b"", b""]))
    classify.classify_log.request.model_spec.signature_name = "count"
    classify.classify_log.request.input.example_list.examples.add()
    regress.regress_log.request.model_spec.signature_name = "count"
    with_context = regress.regress_log.request.input.example_list_with_context
    with_context.context.features.feature["a"].int64_list.value.append(1)
    with_context.examples.add()
    wrong.predict_log.request.model_spec.signature_name = "nope"
    (model / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(model / "assets.extra" / "tf_serving_warmup_requests")) as file:
        for log in (predict, wrong, classify, regress):
            file.write(log.SerializeToString())


def main(base: Path) -> None:
    for version, bias in ((1, 1.0), (2, 2.0), (3, 3.0)):
        model = Half(bias)
        tf.saved_model.save(model, str(base / "half" / str(version)), signatures=model.half)
    kinds = Kinds()
    names = (
        "count",
        "two",
        "binary",
        "upper",
        "negate",
        "scalar",
        "small",
        "wide",
        "narrow",
        "uneven",
        "inverse",
        "complex",
        "regress",
        "classify",
        "scores",
        "ragged",
        "sparse",
        "slow",
    )
    signatures = {name: getattr(kinds, name) for name in names}
    tf.saved_model.save(kinds, str(base / "kinds" / "1"), signatures=signatures)
    tf.saved_model.save(tf.Module(), str(base / "mute" / "1"))
    words = base / "words.txt"
    words.write_text("zero\none\ntwo\n")
    lookup = Lookup(str(words))
    signatures = {"serving_default": lookup.find, "count": lookup.count}
    tf.saved_model.save(lookup, str(base / "lookup" / "1"), signatures=signatures)
    record(base / "lookup" / "1")
    words.unlink()  # the model carries its own copy
    dense = tf.keras.Sequential([tf.keras.Input((4,), name="pixels"), tf.keras.layers.Dense(3, activation="softmax")])
    dense.export(str(base / "keras" / "1"), verbose=False)
    tag(base / "keras" / "1", "gpu")


main(Path(sys.argv[1]))
