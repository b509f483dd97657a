"""TF Serving's gRPC API over one model: PredictionService, ModelService and gRPC's health service.

Knows neither how models are found nor how they predict. Messages are converted and predictions run in a pool of
threads: nothing slow runs on the event loop. The stubs import TensorFlow: import this module in a thread, after
`import_tensorflow.tensorflow`. The services:
https://github.com/tensorflow/serving/tree/2.19.1/tensorflow_serving/apis and
https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Executor
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from .errors import ServingError, invalid, no_label, no_servable, no_version
from .manager import Model, ModelManager
from .metrics import Metrics
from .results import classifications
from .tensor_protos import to_arrays, to_protos

log = logging.getLogger(__name__)

DEFAULT_SIGNATURE = "serving_default"
WATCH_INTERVAL = 1.0
"""Seconds between two looks at the model's state for a caller who watches its health."""

_Handler = Callable[[Any, Any, grpc.aio.ServicerContext], Coroutine[Any, Any, Any]]


class GrpcApi:
    """A gRPC server. `start()` listens; `stop()` ends it."""

    def __init__(
        self, manager: ModelManager, *, max_body: int, threads: Executor, metrics: Metrics, most: int
    ) -> None:
        """`max_body`: bytes of a message; `threads` run the predictions; `most`: calls at one time."""
        # Answers may be larger than requests, as in TF Serving.
        options = [("grpc.max_receive_message_length", max_body), ("grpc.max_send_message_length", -1)]
        self._server = grpc.aio.server(options=[*options, ("grpc.so_reuseport", 0)], maximum_concurrent_rpcs=most)
        predictions = _PredictionService(manager, max_body, threads, metrics)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(predictions, self._server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(_ModelService(manager), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(_Health(manager), self._server)

    async def start(self, host: str, port: int) -> None:
        """Listens, without TLS. Raises OSError."""
        try:
            self._server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        except RuntimeError as error:
            raise OSError(f"it cannot listen on {host}:{port}") from error
        await self._server.start()
        log.info("gRPC: listening on %s:%d", host, port)

    async def stop(self, grace: float) -> None:
        """Takes no more calls, and waits up to `grace` seconds for those that run."""
        await self._server.stop(grace)


def _in_words(handler: _Handler) -> _Handler:
    """The handler, whose ServingError becomes gRPC's status; the log alone gets what is not the caller's fault."""

    async def handle(service: Any, request: Any, context: grpc.aio.ServicerContext) -> Any:
        try:
            return await handler(service, request, context)
        except ServingError as error:
            await context.abort(getattr(grpc.StatusCode, error.code), error.message)
        except Exception:
            log.exception("%s failed", handler.__name__)
            await context.abort(grpc.StatusCode.INTERNAL, "The model server failed: its log has the details")

    return handle


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    def __init__(self, manager: ModelManager, max_body: int, threads: Executor, metrics: Metrics) -> None:
        self._manager, self._max_body, self._threads, self._metrics = manager, max_body, threads, metrics

    @_in_words
    async def Predict(self, request: Any, _context: grpc.aio.ServicerContext) -> Any:  # noqa: N802 - gRPC's name
        return await self._run("Predict", self._predicted, request)

    @_in_words
    async def Classify(self, request: Any, _context: grpc.aio.ServicerContext) -> Any:  # noqa: N802
        return await self._run("Classify", _classified, request)

    @_in_words
    async def Regress(self, request: Any, _context: grpc.aio.ServicerContext) -> Any:  # noqa: N802
        return await self._run("Regress", _regressed, request)

    async def _run(self, api: str, answered: Callable[[Model, Any], Any], request: Any) -> Any:
        """The answer that `answered` makes in a thread, with what served it."""
        spec = request.model_spec
        with self._metrics.request(api, "GRPC"), self._manager.use(_asked(spec, self._manager.name)) as servable:
            work = asyncio.get_running_loop().run_in_executor(self._threads, answered, servable.model, request)
            try:
                answer = await asyncio.shield(work)
            except asyncio.CancelledError:
                await asyncio.wait([work])  # the model is in use until the thread ends
                raise
        answer.model_spec.name = self._manager.name
        answer.model_spec.signature_name = spec.signature_name or DEFAULT_SIGNATURE
        answer.model_spec.version.value = servable.version.number
        return answer

    def _predicted(self, model: Model, request: Any) -> Any:
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        definition = model.definitions.get(name)
        if definition is None:
            raise ServingError("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
        arrays = to_arrays(request.inputs, definition, largest=self._max_body)
        outputs = model.predict_arrays(name, arrays)
        answer = predict_pb2.PredictResponse()
        for output, proto in to_protos(outputs, request.output_filter).items():
            answer.outputs[output].CopyFrom(proto)
        return answer

    @_in_words
    async def GetModelMetadata(self, request: Any, _context: grpc.aio.ServicerContext) -> Any:  # noqa: N802
        version = _asked(request.model_spec, self._manager.name)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid(f"Metadata field {field} is not supported")
        with self._manager.use(version) as servable:
            signatures = get_model_metadata_pb2.SignatureDefMap()
            for name, definition in servable.model.definitions.items():
                signatures.signature_def[name].CopyFrom(definition)
            packed = AnyMessage()
            packed.Pack(signatures)
            answer = get_model_metadata_pb2.GetModelMetadataResponse(metadata={"signature_def": packed})
            answer.model_spec.name = self._manager.name
            answer.model_spec.version.value = servable.version.number
        return answer


def _classified(model: Model, request: Any) -> Any:
    outputs = model.predict(model.of_examples("classify", request.model_spec.signature_name, _examples(request)))
    answer = classification_pb2.ClassificationResponse()
    for classes in classifications(outputs.arrays):
        one = answer.result.classifications.add()
        for label, score in classes:
            one.classes.add(label=label, score=score)
    return answer


def _regressed(model: Model, request: Any) -> Any:
    outputs = model.predict(model.of_examples("regress", request.model_spec.signature_name, _examples(request)))
    answer = regression_pb2.RegressionResponse()
    for value in outputs.arrays["outputs"].ravel().tolist():
        answer.result.regressions.add(value=value)
    return answer


def _examples(request: Any) -> list[bytes]:
    """The request's `tf.Example`s, serialized, each after the context if there is one."""
    kind = request.input.WhichOneof("kind")
    given = getattr(request.input, kind) if kind else None
    if given is None or not given.examples:
        raise invalid("Input is empty.")
    context = given.context.SerializeToString() if kind == "example_list_with_context" else b""
    return [context + example.SerializeToString() for example in given.examples]


class _ModelService(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]
    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    @_in_words
    async def GetModelStatus(self, request: Any, _context: grpc.aio.ServicerContext) -> Any:  # noqa: N802
        spec = request.model_spec
        if not spec.name:
            raise invalid("Missing ModelSpec")
        if spec.name != self._manager.name:
            raise no_version(spec.name, None)
        version = spec.version.value if spec.HasField("version") else None
        answer = get_model_status_pb2.GetModelStatusResponse()
        for number, state in self._manager.states(version).items():
            one = answer.model_version_status.add(
                version=number, state=get_model_status_pb2.ModelVersionStatus.State.Value(state.state)
            )
            one.status.error_code = grpc.StatusCode[state.code].value[0]
            one.status.error_message = state.message
        return answer


class _Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """Of the server and of each service alike: whether a version is loaded."""

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    async def Check(self, _request: Any, _context: grpc.aio.ServicerContext) -> Any:  # noqa: N802
        return self._state()

    async def Watch(self, _request: Any, _context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:  # noqa: N802
        told = None
        while True:
            state = self._state()
            if state != told:
                told = state
                yield state
            await asyncio.sleep(WATCH_INTERVAL)

    def _state(self) -> Any:
        states = health_pb2.HealthCheckResponse
        return states(status=states.SERVING if self._manager.is_serving else states.NOT_SERVING)


def _asked(spec: Any, name: str) -> int | None:
    """The version that a ModelSpec names; None if it names none. Raises `ServingError` if it is not this model's."""
    if not spec.name:
        raise invalid("Missing ModelSpec")
    if spec.version_label:
        raise no_label(spec.version_label)
    version: int | None = spec.version.value if spec.HasField("version") else None
    if spec.name != name:
        raise no_servable(spec.name, version)
    return version
