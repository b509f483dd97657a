"""The only HTTP to Kubernetes: configuration, requests, watches, informers, events. Dicts in, dicts out.

May not know any kind of ours: a caller hands in a `Resource` of `k8s`. Built on aiohttp; why not on the generated
client is in docs/decisions/kubernetes-client.md.
"""

from .client import Client
from .config import ClusterConfig, load_config
from .errors import (
    AlreadyExists,
    ApiError,
    ConfigError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    Unauthorized,
    Unreachable,
)
from .events import EventRecorder
from .informer import Informer

__all__ = [
    "AlreadyExists",
    "ApiError",
    "Client",
    "ClusterConfig",
    "ConfigError",
    "Conflict",
    "EventRecorder",
    "Forbidden",
    "Gone",
    "Informer",
    "Invalid",
    "NotFound",
    "Unauthorized",
    "Unreachable",
    "load_config",
]
