"""Routes of the REST interface. A handler parses, authorises and calls a manager; it decides nothing else."""

from . import endpoints, tfjobs

API = r"/kf/api/v1"
NAME = r"(?P<name>[^/]+)"

ROUTES = [
    (rf"{API}/tfjobs", tfjobs.Jobs),
    (rf"{API}/tfjobs/{NAME}", tfjobs.Job),
    (rf"{API}/tfjobs/{NAME}/logs", tfjobs.JobLogs),
    (rf"{API}/tfjobs/{NAME}/watch", tfjobs.JobWatch),
    (rf"{API}/tfjobs/{NAME}/events", tfjobs.JobEvents),
    (rf"{API}/endpoints", endpoints.Endpoints),
    (rf"{API}/endpoints/{NAME}", endpoints.Endpoint),
    (rf"{API}/endpoints/{NAME}/logs", endpoints.EndpointLogs),
    (rf"{API}/endpoints/{NAME}/predict", endpoints.EndpointPredict),
    (rf"{API}/endpoints/{NAME}/metadata", endpoints.EndpointMetadata),
    (rf"{API}/endpoints/{NAME}/versions", endpoints.EndpointVersions),
]
