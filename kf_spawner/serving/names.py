"""The labels, port and door path that belong to an endpoint. Pure; shared by manifests, status and routes."""

from kf_spawner.k8s.metadata import COMPONENT, INSTANCE, MANAGED_BY, NAME

ENDPOINT_LABEL = "kf-spawner.io/endpoint"
"""Label of everything that belongs to an endpoint; its value is the endpoint's name."""

SELECTOR = ENDPOINT_LABEL
"""Label selector that finds the objects of all endpoints."""

ENDPOINT = "endpoint"

REST_PORT = 8501
"""TF Serving's REST port, on which every model server pod listens."""


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
    """What picks the endpoint's pods. Never changes for a name: a Deployment's selector is immutable."""
    return {COMPONENT: ENDPOINT, ENDPOINT_LABEL: name}


def door_path(namespace: str, name: str) -> str:
    """Where the door serves an endpoint, without a slash at the end: `/serving/kf-admin/digits`."""
    return f"/serving/{namespace}/{name}"
