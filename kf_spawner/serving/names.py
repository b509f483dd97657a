"""The labels, port and door path that belong to an endpoint. Pure; shared by manifests, status and routes."""

ENDPOINT_LABEL = "kf-spawner.io/endpoint"
"""Label of everything that belongs to an endpoint; its value is the endpoint's name."""

SELECTOR = ENDPOINT_LABEL
"""Label selector that finds the objects of all endpoints."""

COMPONENT = "endpoint"

REST_PORT = 8501
"""TF Serving's REST port, on which every model server pod listens."""


def labels(name: str) -> dict[str, str]:
    """The labels of every object of the endpoint `name`."""
    return {
        "app.kubernetes.io/name": "model-server",
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/component": COMPONENT,
        "app.kubernetes.io/managed-by": "kf-spawner",
        ENDPOINT_LABEL: name,
    }


def selector(name: str) -> dict[str, str]:
    """What picks the endpoint's pods. Never changes for a name: a Deployment's selector is immutable."""
    return {"app.kubernetes.io/component": COMPONENT, ENDPOINT_LABEL: name}


def door_path(namespace: str, name: str) -> str:
    """Where the door serves an endpoint, without a slash at the end: `/serving/kf-admin/digits`."""
    return f"/serving/{namespace}/{name}"
