"""Jupyter server extension: TFJobs and model endpoints of one notebook server's namespace, over REST.

Owns configuration, handlers (parse, authorise, call), the managers that act with the pod's own service account,
and the streams of logs and states. May not hold rules of the product: `kf_spawner.tfjob` and `kf_spawner.serving`
own those.
"""


def _jupyter_server_extension_points() -> list[dict]:
    """How jupyter_server finds the extension (its documented entry point)."""
    from .app import KubeflowExtension

    return [{"module": "kf_spawner.extension", "app": KubeflowExtension}]
