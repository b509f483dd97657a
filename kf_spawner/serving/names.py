"""The labels, port and headers of an endpoint and its door. Pure; shared by manifests, status and backends."""

from kf_spawner.k8s.metadata import COMPONENT, INSTANCE, MANAGED_BY, NAME

ENDPOINT_LABEL = "kf-spawner.io/endpoint"
"""Label of everything that belongs to an endpoint; its value is the endpoint's name."""

SELECTOR = ENDPOINT_LABEL
"""Label selector that finds the objects of all endpoints."""

ENDPOINT = "endpoint"

REST_PORT = 8501
"""TF Serving's REST port, on which every model server pod listens."""

GRPC_PORT = 8500
"""TF Serving's gRPC port, on which every model server pod listens once it has imported TensorFlow."""

ENDPOINT_HEADER = "Kf-Endpoint"
"""Header, or metadata, of a gRPC call that goes through the door: `NAMESPACE/NAME` of its endpoint. The paths of gRPC
services are fixed, and cannot say it."""

DOOR_HEADER = "Kf-Door"
"""Header of an answer to a request to an endpoint that is the door's own, not the model server's. Its value is the
`reason` in the answer's body. The door removes it from a model server's answer."""

DOOR_TOKEN_HEADER = "Kf-Door-Token"  # noqa: S105 - a name
"""Header of the door's requests to the hub's proxy: a secret of the two, which the proxy does not pass on."""


def labels(name: str) -> dict[str, str]:
    """The labels of every object of the endpoint `name`."""
    return {
        NAME: "model-server",
        INSTANCE: name,
        COMPONENT: ENDPOINT,
        MANAGED_BY: "kf-spawner",
        ENDPOINT_LABEL: name,
    }


def selector(name: str) -> dict[str, str]:
    """Labels that select the endpoint's pods. Never changes for a name: a Deployment's selector is immutable."""
    return {COMPONENT: ENDPOINT, ENDPOINT_LABEL: name}


IAP_HEADER = "X-Goog-IAP-JWT-Assertion"
"""By which Google's Identity-Aware Proxy tells the hub who a browser's user is. Who has its value can log in as this
user for some minutes, so it reaches no program of a user's."""
