"""Names that Kubernetes, its device plugins and the Jupyter images give to things."""

GPU = "nvidia.com/gpu"
"""The resource that NVIDIA's device plugin counts GPUs as."""

HOME_MOUNT = "/home/jovyan"
"""Home folder of the Jupyter images, and where a user's home volume is mounted if nothing else is set."""

HOME_GROUP = 100
"""Group (`users`) of the Jupyter images: the `fsGroup` with which a volume can be written to."""

_WORDS = {
    "cpu": "CPU",
    "memory": "memory",
    GPU: "GPUs",
    "ephemeral-storage": "disk space",
    "inodes": "room for files",
    "pids": "processes",
}


def resource_words(resource: str) -> str:
    """A resource as people call it: `disk space` for `ephemeral-storage`; others as they are."""
    return _WORDS.get(resource, resource)
