"""Defines a model endpoint: options -> Deployment and Service; objects of the cluster -> status and backends.

Pure: dicts in, dicts out. May not know HTTP, the API's client, or who forwards requests.

An endpoint NAME in a namespace is a Deployment and a Service of that name. Its pods run the model server on port
8501; the door forwards `/serving/NAMESPACE/NAME/…` to those that are ready.
"""

from .backends import Backends, backends
from .endpoint import build, scaled
from .names import (
    DOOR_HEADER,
    DOOR_TOKEN_HEADER,
    ENDPOINT_HEADER,
    ENDPOINT_LABEL,
    GRPC_PORT,
    IAP_HEADER,
    REST_PORT,
    SELECTOR,
)
from .status import status

__all__ = [
    "DOOR_HEADER",
    "DOOR_TOKEN_HEADER",
    "ENDPOINT_HEADER",
    "ENDPOINT_LABEL",
    "GRPC_PORT",
    "IAP_HEADER",
    "REST_PORT",
    "SELECTOR",
    "Backends",
    "backends",
    "build",
    "scaled",
    "status",
]
