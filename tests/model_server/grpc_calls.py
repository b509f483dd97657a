"""Run by the image's Python, with TF Serving's own stubs: makes the calls in CALLS to the server in its argument
and prints their answers as JSON, by name: `[code, words]` of an error."""

import json
import sys
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
    regression_pb2,
)
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

channel = grpc.insecure_channel(sys.argv[1], options=[("grpc.max_receive_message_length", -1)])
predictions, models = PredictionServiceStub(channel), ModelServiceStub(channel)
health = health_pb2_grpc.HealthStub(channel)
TIMEOUT = 120  # s


def request(signature: str, *, model: str = "m", version: int | None = None, label: str = "", **inputs: Any) -> Any:
    made = predict_pb2.PredictRequest()
    made.model_spec.name, made.model_spec.signature_name = model, signature
    if version is not None:
        made.model_spec.version.value = version
    if label:
        made.model_spec.version_label = label
    for name, value in inputs.items():
        made.inputs[name].CopyFrom(value)
    return made


def proto(value: Any, dtype: Any = None) -> Any:
    return tf.make_tensor_proto(value, dtype=dtype)


def filled(*shape: int) -> Any:
    """One value for a whole shape."""
    made = proto(np.zeros((0,), np.float32))
    made.Clear()
    made.dtype, made.float_val[:] = tf.float32.as_datatype_enum, [2.0]
    for size in shape:
        made.tensor_shape.dim.add(size=size)
    return made


def predict(made: Any) -> Any:
    answer = predictions.Predict(made, timeout=TIMEOUT)
    spec = answer.model_spec
    outputs = {name: told(tf.make_ndarray(each)) for name, each in sorted(answer.outputs.items())}
    return {"spec": [spec.name, spec.version.value, spec.signature_name], "outputs": outputs}


def told(array: np.ndarray) -> Any:
    values = array.tolist()
    return json.loads(json.dumps(values, default=lambda each: each.decode("latin-1")))


def examples(signature: str, *features: dict[str, Any], context: dict[str, Any] | None = None) -> Any:
    made = (
        classification_pb2.ClassificationRequest() if signature == "classify" else regression_pb2.RegressionRequest()
    )
    made.model_spec.name, made.model_spec.signature_name = "m", signature
    if context is None:
        made.input.example_list.examples.extend(map(example, features))
    else:
        made.input.example_list_with_context.context.CopyFrom(example(context))
        made.input.example_list_with_context.examples.extend(map(example, features))
    if signature == "classify":
        classified = predictions.Classify(made, timeout=TIMEOUT).result.classifications
        return [[[each.label, round(each.score, 6)] for each in one.classes] for one in classified]
    answer = predictions.Regress(made, timeout=TIMEOUT)
    return [answer.model_spec.version.value, [each.value for each in answer.result.regressions]]


def example(features: dict[str, Any]) -> Any:
    train = tf.train
    kinds = {
        float: ("float_list", train.FloatList),
        int: ("int64_list", train.Int64List),
        bytes: ("bytes_list", train.BytesList),
    }
    made = {}
    for name, values in features.items():
        field, of = kinds[type(values[0])]
        made[name] = train.Feature(**{field: of(value=values)})
    return train.Example(features=train.Features(feature=made))


def filtered(made: Any, *names: str) -> Any:
    made.output_filter[:] = names
    return made


def metadata(field: str, model: str = "m") -> Any:
    made = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=[field] if field else [])
    made.model_spec.name = model
    answer = predictions.GetModelMetadata(made, timeout=TIMEOUT)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    answer.metadata["signature_def"].Unpack(signatures)
    two = signatures.signature_def["two"]
    return [answer.model_spec.version.value, sorted(two.inputs), two.method_name]


def status(model: str = "m", version: int | None = None) -> Any:
    made = get_model_status_pb2.GetModelStatusRequest()
    made.model_spec.name = model
    if version is not None:
        made.model_spec.version.value = version
    answer = models.GetModelStatus(made, timeout=TIMEOUT)
    names = get_model_status_pb2.ModelVersionStatus.State
    return [[each.version, names.Name(each.state), each.status.error_code] for each in answer.model_version_status]


def large() -> Any:
    """A message of 800,000 bytes, and its answer."""
    sent = np.arange(100_000, dtype=np.float64)
    answer = predictions.Predict(request("wide", x=proto(sent)), timeout=TIMEOUT).outputs["out"]
    return [len(answer.tensor_content), bool((tf.make_ndarray(answer) == sent).all())]


X, K = proto([[1.0, 2.0], [3.0, 4.0]], tf.float32), proto([5, 6], tf.int64)
CALLS = {
    "two inputs": lambda: predict(request("two", x=X, k=K)),
    "one output": lambda: predict(filtered(request("two", x=X, k=K), "twice")),
    "its version": lambda: predict(request("upper", version=1, s=proto([b"ab", b"\xff"]))),
    "bytes": lambda: predict(request("binary", image_bytes=proto([b"\x00\xff"])))["outputs"]["image_bytes"],
    "half and bfloat16": lambda: predict(request("narrow", x=proto([0.5], tf.float16)))["outputs"],
    "one value for a shape": lambda: predict(request("two", x=filled(2, 2), k=K))["outputs"]["sum"],
    "no rows": lambda: predict(request("small", x=proto(np.zeros(0, np.uint8))))["outputs"],
    "800,000 bytes": large,
    "too large": lambda: predict(request("wide", x=proto(np.zeros(200_000)))),
    "a huge shape": lambda: predict(request("two", x=filled(10**9, 2), k=K)),
    "a negative size": lambda: predict(request("two", x=filled(-1, 2), k=K)),
    "no such model": lambda: predict(request("two", model="other", x=X, k=K)),
    "no such version": lambda: predict(request("two", version=7, x=X, k=K)),
    "a label": lambda: predict(request("two", label="stable", x=X, k=K)),
    "no model": lambda: predict(request("two", model="", x=X, k=K)),
    "no such signature": lambda: predict(request("three", x=X)),
    "an input too few": lambda: predict(request("two", x=X)),
    "a wrong input": lambda: predict(request("two", x=X, z=K)),
    "a wrong type": lambda: predict(request("two", x=proto([[1, 2]], tf.int32), k=K)),
    "a wrong shape": lambda: predict(request("inverse", x=proto([[1.0, 2.0]], tf.float32))),
    "no such output": lambda: predict(filtered(request("two", x=X, k=K), "thrice")),
    "classify": lambda: examples("classify", {"words": [b"car", b"bike"]}, {"words": [b"bus", b"tram"]}),
    "regress": lambda: examples("regress", {"x": [1.0]}, {"x": [2.0], "add": [1]}),
    "regress with a context": lambda: examples("regress", {"add": [1]}, {"x": [2.0]}, context={"x": [4.0]}),
    "no examples": lambda: examples("regress"),
    "an example without its feature": lambda: examples("regress", {}),
    "a signature that cannot classify": lambda: examples("two", {}),
    "metadata": lambda: metadata("signature_def"),
    "no metadata field": lambda: metadata(""),
    "another metadata field": lambda: metadata("weights"),
    "metadata of another model": lambda: metadata("signature_def", model="other"),
    "status": status,
    "status of a version": lambda: status(version=1),
    "status of no version": lambda: status(version=7),
    "status of another model": lambda: status(model="other"),
    "health": lambda: health.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT).status,
    "watched health": lambda: next(iter(health.Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT))).status,
}


def answered(call: Any) -> Any:
    try:
        return call()
    except grpc.RpcError as error:
        return [error.code().name, error.details()]


if __name__ == "__main__":
    print(json.dumps({name: answered(call) for name, call in CALLS.items()}))
