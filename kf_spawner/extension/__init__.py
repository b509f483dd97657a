"""Jupyter server extension: TFJobs and model endpoints of one notebook server's namespace, over REST.

Owns the extension's settings, its handlers (they parse, authorise and call), model endpoints and predictions, and
what a new home directory holds. Acts with the pod's own service account. Holds no rules of the product:
`kf_spawner.tfjob` and `kf_spawner.serving` own those, and `kf_spawner.workloads` makes and watches jobs.
"""


def _jupyter_server_extension_points() -> list[dict[str, object]]:
    """How jupyter_server finds the extension (its documented entry point)."""
    from .app import KubeflowExtension

    return [{"module": "kf_spawner.extension", "app": KubeflowExtension}]
