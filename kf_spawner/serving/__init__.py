"""What a model endpoint is: options -> Deployment and Service, what the cluster says -> status and routes.

Pure: dicts in, dicts out. Knows neither HTTP nor the API's client, nor who calls it.

An endpoint NAME in a namespace is a Deployment and a Service of that name. Its pods run the model server on
port 8501; the door in front leads `/serving/NAMESPACE/NAME/…` to those that are ready.
"""

from kf_spawner.serving.endpoint import build
from kf_spawner.serving.names import ENDPOINT_LABEL, REST_PORT, SELECTOR, door_path
from kf_spawner.serving.routes import configuration
from kf_spawner.serving.status import status

__all__ = [
    "ENDPOINT_LABEL",
    "REST_PORT",
    "SELECTOR",
    "build",
    "configuration",
    "door_path",
    "status",
]
