"""Model endpoints of the server's namespace: list, get, create, delete, logs and predictions.

Acts with the server's account; `kf_spawner.serving` defines an endpoint. Predictions go through the door with the
server's own token, so this way gives nobody access to more endpoints.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse
from tornado.simple_httpclient import HTTPStreamClosedError, HTTPTimeoutError

from kf_spawner.field_table import FieldTable
from kf_spawner.kube import AlreadyExists, Invalid, NotFound
from kf_spawner.kube.resources import CLAIMS, DEPLOYMENTS, PODS, SERVICES
from kf_spawner.serving import DOOR_HEADER, ENDPOINT_LABEL, SELECTOR, address, build, scaled, status
from kf_spawner.serving.options import PATHS, problems
from kf_spawner.serving.status import READY
from kf_spawner.workloads import submission
from kf_spawner.workloads.access import OwnAccess
from kf_spawner.workloads.errors import RequestError, field_errors, wrong_input
from kf_spawner.workloads.log_cursor import Cursor
from kf_spawner.workloads.streams import follow_pods, read_pods
from kf_spawner.workloads.wire import LogItem
from kf_spawner.wrong_input import MOST, FieldError, WrongInput

from .model_folder import model_folder

PREDICTIONS = 128
"""Most predictions of one server at the same time: as many as a model server takes."""
CONNECT_TIMEOUT = 10.0
"""Seconds that a connection to the door may take, and a prediction may wait for its turn."""
ROUTE_PATIENCE = 15.0
RETRY_EVERY = 0.5
OPTIONS = ("name", "path", "image", "replicas", "resources", "env")
IN_REQUEST = FieldTable([*((f"{name}.*", f"{name}.*") for name in OPTIONS), ("path", "claim"), ("path", "sub_path")])
"""The fields of a request and the options of `serving.build` that they become."""


@dataclass(frozen=True)
class EndpointDefaults:
    """`home`: where this process sees the claim; `door`: URL below which it reaches endpoints; `public`: the one
    that users see."""

    image: str | None
    claim: str | None
    home: str | None
    door: str | None
    public: str | None
    token: str | None


class Endpoints:
    """Every method raises RequestError, or an ApiError of the Kubernetes API."""

    def __init__(self, cluster: OwnAccess, defaults: EndpointDefaults, *, predict_timeout: float):
        self._cluster = cluster
        self._defaults = defaults
        self._predict_timeout = predict_timeout

    @cached_property
    def _http(self) -> AsyncHTTPClient:
        """A client of our own: the one that a Jupyter server shares sends ten requests at a time."""
        return AsyncHTTPClient(force_instance=True, max_clients=PREDICTIONS)

    def close(self) -> None:
        self._http.close()

    async def views(self) -> list[dict[str, Any]]:
        """The views of all endpoints, by name."""
        client = await self._cluster.client()
        namespace = self._cluster.namespace
        deployments = (await client.list(DEPLOYMENTS, namespace, label_selector=SELECTOR))["items"]
        pods = (await client.list(PODS, namespace, label_selector=SELECTOR))["items"]
        of_endpoint: dict[str, list[dict[str, Any]]] = {}
        for pod in pods:
            of_endpoint.setdefault(pod["metadata"]["labels"][ENDPOINT_LABEL], []).append(pod)
        views = [self._view(each, of_endpoint.get(each["metadata"]["name"], [])) for each in deployments]
        return sorted(views, key=lambda view: view["name"])

    async def get(self, name: str) -> dict[str, Any]:
        client = await self._cluster.client()
        deployment = await self._deployment(name)
        pods = await client.list(PODS, self._cluster.namespace, label_selector=f"{ENDPOINT_LABEL}={name}")
        return self._view(deployment, pods["items"])

    async def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """Creates an endpoint from `name`, `path` and options of `serving.build`; all of it or nothing.

        The view has `warnings` besides: what may keep the model from being loaded.
        """
        options, warnings = await self._valid(body)
        deployment, service = build(options, namespace=self._cluster.namespace)
        client = await self._cluster.client()
        try:
            stored = await submission.create(
                client,
                namespace=self._cluster.namespace,
                owner=submission.Part(DEPLOYMENTS, deployment),
                dependents=[submission.Part(SERVICES, service)],
            )
        except AlreadyExists as error:
            raise RequestError(
                409,
                "NameInUse",
                f"{body['name']!r} is in use in {self._cluster.namespace}: use another name, or delete the endpoint "
                "first (replace=True does)",
                field="name",
                name=body["name"],
            ) from error
        except Invalid as error:
            errors = IN_REQUEST.translate(PATHS.translate(field_errors(error)))
            raise wrong_input(WrongInput(errors), status=422) from error
        return {**self._view(stored, []), "warnings": warnings}

    async def _valid(self, body: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The options of `serving.build` for this body, and warnings about the model.

        Raises RequestError with every problem of it.
        """
        options = {
            key: value for key, value in body.items() if key in OPTIONS and key != "path" and value is not None
        }
        options.setdefault("image", self._defaults.image)
        errors = [
            FieldError(name, f"is not known; the options are {', '.join(OPTIONS)}")
            for name in sorted(set(body) - set(OPTIONS))
        ]
        path_error = None
        warnings: list[str] = []
        try:
            defaults = self._defaults
            folder = await asyncio.to_thread(model_folder, body.get("path"), home=defaults.home, claim=defaults.claim)
            options = {**options, "claim": folder.claim, "sub_path": folder.sub_path}
            # Which ops an image has that the user chose is the user's to know.
            warnings = [text for text in (folder.skipped, "" if body.get("image") else folder.foreign_ops) if text]
            await self._check_claim(folder.claim)
        except RequestError as error:
            path_error = error
            options["claim"] = "unknown"  # so that only the path's own problem is reported
        errors += IN_REQUEST.translate((await asyncio.to_thread(problems, options))[:MOST])
        if path_error and not errors:
            raise path_error
        if path_error:
            errors.append(FieldError("path", path_error.message))
        if errors:
            raise wrong_input(WrongInput(IN_REQUEST.in_order(errors)))
        return options, warnings

    async def change(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Changes the number of `replicas`. The view is that of the moment after."""
        client = await self._cluster.client()
        try:
            patch = scaled(await self._deployment(name), body)
        except WrongInput as error:
            raise wrong_input(error) from error
        await client.patch(DEPLOYMENTS, name, patch, self._cluster.namespace)
        return await self.get(name)

    async def delete(self, name: str) -> dict[str, Any]:
        """Begins the deletion. The endpoint stays visible, as `deleting`, until its pods are gone."""
        client = await self._cluster.client()
        deployment = await self._deployment(name)
        namespace = self._cluster.namespace
        with contextlib.suppress(NotFound):
            service = await client.get(SERVICES, name, namespace)
            if (service["metadata"].get("labels") or {}).get(ENDPOINT_LABEL) == name:
                await client.delete(SERVICES, name, namespace, uid=service["metadata"]["uid"])
        with contextlib.suppress(NotFound):
            await client.delete(
                DEPLOYMENTS, name, namespace, propagation="Foreground", uid=deployment["metadata"]["uid"]
            )
        return {"name": name, "deleting": True}

    async def logs(
        self, name: str, *, follow: bool, after: Mapping[str, Cursor] | None = None
    ) -> AsyncGenerator[LogItem, None]:
        """The logs of the endpoint's pods: as they are now, or followed without end."""
        await self._deployment(name)
        stream = follow_pods if follow else read_pods
        return stream(
            await self._cluster.client(),
            namespace=self._cluster.namespace,
            selector=f"{ENDPOINT_LABEL}={name}",
            name_of=lambda pod: pod["metadata"]["name"],
            after=after,
        )

    async def predict(self, name: str, body: bytes) -> HTTPResponse:
        """The model server's answer to a `:predict` body, whatever its status."""
        return await self._answered(name, ":predict", body)

    async def metadata(self, name: str) -> HTTPResponse:
        """The model server's answer about its signatures."""
        return await self._answered(name, "/metadata")

    async def versions(self, name: str) -> HTTPResponse:
        """The model server's answer about the state of its versions."""
        return await self._answered(name, "")

    async def _answered(self, name: str, below: str, body: bytes | None = None) -> HTTPResponse:
        """The model server's answer for what is `below` its model.

        The door learns of an endpoint shortly after it is ready. Until then only a model server's answer is final.
        """
        await self._cluster.client()
        deadline = time.monotonic() + ROUTE_PATIENCE
        while True:
            answer = await self._ask(name, below, body)
            if not _is_doors_own(answer):
                return answer
            view = await self.get(name)
            if view["state"] != READY:
                raise RequestError(503, "NotReady", f"the endpoint {name!r} is {view['state']}: {view['message']}")
            if time.monotonic() > deadline:
                return answer
            await asyncio.sleep(RETRY_EVERY)

    async def _ask(self, name: str, below: str, body: bytes | None) -> HTTPResponse:
        door, token = self._defaults.door, self._defaults.token
        if not door or not token:
            raise RequestError(
                503,
                "NoDoor",
                "KF_SERVING_URL is not set, so endpoints cannot be reached: no hub started this server",
            )
        request = HTTPRequest(
            address.model_url(door, self._cluster.namespace, name) + below,
            method="GET" if body is None else "POST",
            body=body,
            headers={"Authorization": f"token {token}", "Content-Type": "application/json"},
            connect_timeout=CONNECT_TIMEOUT,
            request_timeout=self._predict_timeout,
            follow_redirects=False,
        )
        try:
            return await self._http.fetch(request, raise_error=False)
        except HTTPTimeoutError as error:
            raise self._late(name, str(error)) from error
        except (OSError, HTTPStreamClosedError, HTTPClientError) as error:
            raise RequestError(502, "DoorUnreachable", f"{door} cannot be reached: {error}") from error

    def _late(self, name: str, said: str) -> RequestError:
        """The error for a wait that was too long. Only tornado's message tells which of the three it was."""
        if "in request queue" in said:
            return RequestError(
                429,
                "TooManyPredictions",
                f"this server already waits for {PREDICTIONS} predictions: try again when some of them are answered",
            )
        if "during request" in said:
            return RequestError(
                504,
                "PredictTimeout",
                f"the endpoint {name!r} did not answer within {self._predict_timeout:g} seconds",
            )
        return RequestError(
            502, "DoorUnreachable", f"{self._defaults.door} accepts no connection within {CONNECT_TIMEOUT:g} seconds"
        )

    async def sweep(self, *, older_than: float) -> int:
        """See `submission.sweep`: Services whose submission was interrupted."""
        client = await self._cluster.client()
        return await submission.sweep(
            client,
            namespace=self._cluster.namespace,
            resource=SERVICES,
            owner_resource=DEPLOYMENTS,
            older_than=older_than,
        )

    def _view(self, deployment: dict[str, Any], pods: list[dict[str, Any]]) -> dict[str, Any]:
        """The view of an endpoint; `pods` are its own."""
        meta = deployment["metadata"]
        return {
            **status(deployment, pods, serving_url=self._defaults.public or address.PREFIX),
            "namespace": meta["namespace"],
            "created": meta["creationTimestamp"],
            "deleting": "deletionTimestamp" in meta,
        }

    async def _deployment(self, name: str) -> dict[str, Any]:
        client = await self._cluster.client()
        try:
            deployment = await client.get(DEPLOYMENTS, name, self._cluster.namespace)
        except NotFound as error:
            raise self._no_such(name) from error
        if ENDPOINT_LABEL not in (deployment["metadata"].get("labels") or {}):
            raise self._no_such(name)
        return deployment

    def _no_such(self, name: str) -> RequestError:
        return RequestError(
            404,
            "NotFound",
            f"there is no endpoint named {name!r} in {self._cluster.namespace}: list_endpoints() lists them all",
            field="name",
        )

    async def _check_claim(self, claim: str) -> None:
        client = await self._cluster.client()
        try:
            await client.get(CLAIMS, claim, self._cluster.namespace)
        except NotFound as error:
            raise RequestError(
                422,
                "NoSuchVolume",
                f"the home volume's claim {claim!r} does not exist any more: restart the server",
                field="path",
            ) from error


def _is_doors_own(answer: HTTPResponse) -> bool:
    """Whether the model server did not answer: its route is not there yet, or no pod of it is ready or listens."""
    if DOOR_HEADER in answer.headers:
        return answer.code in (404, 503)
    return answer.code == 502
