"""An endpoint's manifests: options -> [Deployment, Service].

Pure. The same options always give the same manifests, so that applying them again changes nothing.
"""

from collections.abc import Mapping
from typing import Any

from .names import GRPC_PORT, REST_PORT, labels, selector
from .options import Options, parse, replicas_of

CONTAINER = "model-server"
VOLUME = "model"

ACCEPT_GRACE = 3
"""Seconds that a pod that ends still takes requests: the door learns of its end up to a second later."""

USER_ID = 1000
"""The user that notebooks run and write models as (jovyan)."""

GROUP_ID = 100
"""The group of a notebook's files (users)."""

_PORTS = (("rest", REST_PORT), ("grpc", GRPC_PORT))


def build(options: Mapping[str, Any], *, namespace: str) -> list[dict[str, Any]]:
    """The Deployment and the Service of an endpoint.

    Options: `name`, `claim` (the volume claim with the model), `sub_path` (the model's folder on it, default its
    root), `image`, `replicas` (default 1), `resources` (`requests` and `limits`; default requests are 100m of CPU
    and 256Mi of memory), `env` (names and texts). Raises `WrongInput`.
    """
    parsed = parse(options)
    return [_deployment(parsed, namespace), _service(parsed.name, namespace)]


def scaled(deployment: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch for the `replicas` of a change. It fits this Deployment alone. Raises `WrongInput`."""
    return {"metadata": {"uid": deployment["metadata"]["uid"]}, "spec": {"replicas": replicas_of(change)}}


def _deployment(options: Options, namespace: str) -> dict[str, Any]:
    name = options.name
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels(name)},
        "spec": {
            "replicas": options.replicas,
            "selector": {"matchLabels": selector(name)},
            # A changed endpoint always answers: the new pod is ready before an old one ends.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "revisionHistoryLimit": 3,
            "template": {"metadata": {"labels": labels(name)}, "spec": _pod_spec(options)},
        },
    }


def _pod_spec(options: Options) -> dict[str, Any]:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": GROUP_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        # Longer than the model server's own graces: ACCEPT_GRACE, and 20 s for requests that are under way.
        "terminationGracePeriodSeconds": 30,
        "containers": [_container(options)],
        "volumes": [
            # The mount below is read-only, not the claim here: some drivers would then attach the whole volume
            # read-only, which fails on the node where the notebook has it open for writing.
            {"name": VOLUME, "persistentVolumeClaim": {"claimName": options.claim}},
        ],
    }


def _container(options: Options) -> dict[str, Any]:
    folder = f"/models/{options.name}"
    mount: dict[str, Any] = {"name": VOLUME, "mountPath": folder, "readOnly": True}
    if options.sub_path:
        mount["subPath"] = options.sub_path
    resources = {"requests": dict(options.requests), "limits": dict(options.limits)}
    return {
        "name": CONTAINER,
        "image": options.image,
        "command": ["python", "-m", "kf_spawner.model_server"],
        "args": [
            *("--model-name", options.name),
            *("--model-base-path", folder),
            *("--rest-api-host", "0.0.0.0"),
            *("--rest-api-port", str(REST_PORT)),
            *("--accept-grace", str(ACCEPT_GRACE)),
            *("--port", str(GRPC_PORT)),
        ],
        "env": [{"name": name, "value": value} for name, value in sorted(options.env.items())],
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in _PORTS],
        "resources": {kind: amounts for kind, amounts in resources.items() if amounts},
        "volumeMounts": [mount],
        # The status says why a model could not be loaded: the end of the model server's log is the cause.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        **_probes(),
    }


def _probes() -> dict[str, Any]:
    """The server listens before its model is loaded; it is ready once a version is AVAILABLE."""
    alive = {"tcpSocket": {"port": REST_PORT}}
    ready = {"httpGet": {"path": "/v2/health/ready", "port": REST_PORT}}
    return {
        "startupProbe": {**alive, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 120},
        "readinessProbe": {**ready, "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 3},
        "livenessProbe": {**alive, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
    }


def _service(name: str, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": labels(name)},
        "spec": {
            "type": "ClusterIP",
            "selector": selector(name),
            "ports": [{"name": name, "port": port, "targetPort": port, "protocol": "TCP"} for name, port in _PORTS],
        },
    }
