"""The settings of a deployment: every trait of the spawner, with its unit and default."""

from collections.abc import Mapping
from typing import Any

from traitlets import Bool, Dict, Float, Integer, List, Unicode, default, validate
from traitlets.config import Configurable
from traitlets.utils.bunch import Bunch

from kf_spawner.k8s import quantities
from kf_spawner.k8s.names import HOME_MOUNT

from .catalogue import Image, from_entries
from .options import Limits


class SpawnerSettings(Configurable):
    """The traits that KubeflowSpawner adds to KubeSpawner's."""

    images = List(
        Dict(),
        config=True,
        help="""Images that users choose from: a list of dictionaries with `name` and `reference`, and optionally
        `description`, `tensorflow` (version), `python` (version) and `gpu` (whether it can use GPUs).
        Default: none, and no server can be started.""",
    )
    default_image = Unicode(
        "",
        config=True,
        help="""Name or reference of the image that is selected at first. Default: the first of the catalogue that
        can run, newest TensorFlow first, CPU before GPU.""",
    )
    model_server_image = Unicode(
        "",
        config=True,
        help="Reference of the image that serves models; servers get it as `KF_MODEL_SERVER_IMAGE`. Default: none.",
    )
    serving_url = Unicode(
        "",
        config=True,
        help="Public URL below which endpoints answer; servers get it as `KF_SERVING_URL`. Default: none.",
    )
    serving_connect_url = Unicode(
        "",
        config=True,
        help="The same URL as servers reach it; they get it as `KF_SERVING_CONNECT_URL`. Default: `serving_url`.",
    )
    default_cpu = Unicode(
        Limits.cpu, config=True, help="CPU request where a user names none, in cores. Default: 500m."
    )
    min_cpu = Unicode(Limits.min_cpu, config=True, help="Smallest CPU request, in cores. Default: 10m.")
    max_cpu = Unicode("", config=True, help="Largest CPU request, in cores. Default: what the largest node has.")
    default_memory = Unicode(
        Limits.memory, config=True, help="Memory request where a user names none, in bytes. Default: 1Gi."
    )
    min_memory = Unicode(Limits.min_memory, config=True, help="Smallest memory request, in bytes. Default: 256Mi.")
    max_memory = Unicode(
        "", config=True, help="Largest memory request, in bytes. Default: what the largest node has."
    )
    memory_limit_factor = Float(
        4.0,
        min=0,
        config=True,
        help="""Memory limit of a server as a multiple of its request, so that one notebook cannot take down its
        node; 0: no limit. Default: 4.""",
    )
    max_gpus = Integer(Limits.max_gpus, min=0, config=True, help="Largest number of GPUs of a server. Default: 16.")
    home_mount = Unicode(
        HOME_MOUNT,
        config=True,
        help="Path at which the home volume is mounted; empty: there are no home volumes. Default: /home/jovyan.",
    )
    home_size = Unicode(
        Limits.home_size,
        config=True,
        help="""Size of a new home volume, in bytes; at most what `quota` has for `requests.storage`.
        Default: 10Gi.""",
    )
    max_home_size = Unicode(
        config=True,
        help="""Largest size of a new home volume and of any other claim in a user's namespace, such as those of
        TFJobs, in bytes; empty: no maximum. Default: ten times `home_size`.""",
    )
    quota = Dict(
        default_value={
            "pods": "100",
            "requests.cpu": "32",
            "requests.memory": "128Gi",
            "persistentvolumeclaims": "20",
            "requests.storage": "200Gi",
            "count/deployments.apps": "50",
            "services": "1000",
            "count/configmaps": "300",
        },
        config=True,
        help="""`spec.hard` of the ResourceQuota `kf-spawner`: how much a user's namespace may have in all of servers,
        jobs and endpoints, applied at each start of a server. Amounts by resource, as Kubernetes names them; pods
        that have ended do not count. A limit of TFJobs (`count/tfjobs.kubeflow.org`) refuses all of them until
        Kubernetes has counted this kind, up to 30 s after its definition is new. The value replaces the whole
        default; empty: no limit. Default: 100 pods with 32 cores and 128Gi requested, 20 claims with 200Gi, 50
        Deployments, 1000 Services, 300 ConfigMaps.""",
    )
    default_requests = Dict(
        default_value={"cpu": "50m", "memory": "256Mi"},
        config=True,
        help="""Requests of containers in a user's namespace that name none themselves, by resource: a quota of a
        resource refuses pods without a request of it. Part of the LimitRange `kf-spawner`. Default: 50m of CPU and
        256Mi of memory.""",
    )
    extra_claims = List(
        Unicode(),
        config=True,
        help="""Claims of the user's namespace that every server mounts, each at `/mnt/CLAIM`. A server whose claim
        does not exist is refused before anything is made. Default: none.""",
    )
    network_policy = Dict(
        config=True,
        help="""`spec` of the NetworkPolicy `kf-spawner` for all pods of a user's namespace, applied at each start
        of a server. Without one, everything on the pods' network reaches every user's model servers, which
        do not ask who calls. The chart sets one. Default: none, and no policy is made.""",
    )
    nodes_on_demand = Bool(
        False,
        config=True,
        help="""Whether the cluster adds nodes as they are needed. Then a request that no present node can meet is
        not refused, and `room_patience` should be as long as a new node takes. Default: false.""",
    )
    room_patience = Float(
        10.0, min=0, config=True, help="Seconds to wait for a node that has room for the server. Default: 10."
    )
    volume_patience = Float(30.0, min=0, config=True, help="Seconds to wait for a volume that fails. Default: 30.")
    image_patience = Float(5.0, min=0, config=True, help="Seconds to wait for an image that fails. Default: 5.")
    log_tail_lines = Integer(
        20,
        min=0,
        config=True,
        help="Number of lines from the end of a crashed server's log that are shown. Default: 20.",
    )

    @default("max_home_size")
    def _default_max_home_size(self) -> str:
        return quantities.total([(self.home_size, 10)]) or ""

    @validate("quota", "default_requests")
    def _validate_amounts(self, proposal: Bunch) -> dict[str, object]:
        amounts: dict[str, object] = proposal["value"]
        for name, amount in amounts.items():
            if not quantities.is_quantity(amount):
                raise ValueError(f"{proposal['trait'].name}: {name} has {amount!r}, which is not a quantity")
        if proposal["trait"].name == "quota":
            self._check_home_fits(self.home_size, amounts)
        return amounts

    @validate("images")
    def _validate_images(self, proposal: Bunch) -> list[dict[str, Any]]:
        images: list[dict[str, Any]] = proposal["value"]
        from_entries(images)
        return images

    @validate(
        "default_cpu",
        "min_cpu",
        "max_cpu",
        "default_memory",
        "min_memory",
        "max_memory",
        "home_size",
        "max_home_size",
    )
    def _validate_quantity(self, proposal: Bunch) -> str:
        value: str = proposal["value"]
        if value:
            quantities.parse(value)
        if proposal["trait"].name == "home_size":
            self._check_home_fits(value, self.quota)
        return value

    def _check_home_fits(self, home_size: str, quota: Mapping[str, Any]) -> None:
        storage = quota.get("requests.storage")
        if not (self.home_mount and quantities.is_quantity(home_size) and quantities.is_quantity(storage)):
            return
        if quantities.parse(home_size) > quantities.parse(storage):
            raise ValueError(
                f"home_size is {home_size}, and quota has {storage} for requests.storage, so that nobody could start "
                "a server: set a smaller home_size, or a larger requests.storage in quota"
            )

    @property
    def catalogue(self) -> tuple[Image, ...]:
        """The images in the order in which they are shown."""
        return from_entries(self.images)

    @property
    def limits(self) -> Limits:
        """What users may ask for, and what they get by default."""
        return Limits(
            default_image=self.default_image,
            cpu=self.default_cpu,
            min_cpu=self.min_cpu,
            max_cpu=self.max_cpu,
            memory=self.default_memory,
            min_memory=self.min_memory,
            max_memory=self.max_memory,
            max_gpus=self.max_gpus,
            home=bool(self.home_mount),
            home_size=self.home_size,
            max_home_size=self.max_home_size,
            extra_claims=tuple(self.extra_claims),
        )
