"""The only HTTP to Kubernetes: configuration, requests, watches, informers, events. Dicts in, dicts out.

May not know our kinds: a caller gives a `Resource` of `k8s`. Built on aiohttp; docs/decisions/kubernetes-client.md
says why not on the generated client.
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
