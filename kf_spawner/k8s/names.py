"""Names that Kubernetes, its device plugins and the Jupyter images give to things."""

GPU = "nvidia.com/gpu"
"""The resource that NVIDIA's device plugin counts GPUs as."""

HOME_MOUNT = "/home/jovyan"
"""Home folder of the Jupyter images, and where a user's home volume is mounted if nothing else is set."""

HOME_GROUP = 100
"""Group (`users`) of the Jupyter images: the `fsGroup` with which a volume can be written to."""
