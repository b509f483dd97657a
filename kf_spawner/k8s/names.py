"""Names from Kubernetes, its device plugins and the Jupyter images."""

GPU = "nvidia.com/gpu"
"""The resource as which NVIDIA's device plugin counts GPUs."""

HOME_MOUNT = "/home/jovyan"
"""Home folder of the Jupyter images, and the default mount path of a user's home volume."""

HOME_GROUP = 100
"""Group (`users`) of the Jupyter images: the `fsGroup` that makes a volume writable."""

_WORDS = {
    "cpu": "CPU",
    "memory": "memory",
    GPU: "GPUs",
    "ephemeral-storage": "disk space",
    "inodes": "room for files",
    "pids": "processes",
}


def resource_words(resource: str) -> str:
    """A resource in words: `disk space` for `ephemeral-storage`; others unchanged."""
    return _WORDS.get(resource, resource)
