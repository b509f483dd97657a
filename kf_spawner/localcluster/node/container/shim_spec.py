"""Builds what the shim of an attempt needs (`spec.json`) from a container of a pod."""

from pathlib import Path
from typing import Any

from kf_spawner.k8s import quantities

from ..common import layout
from ..common.pod_state import PodState
from ..common.translate import translate
from ..image.store import Image
from ..process.attempts import MESSAGE_FILE
from ..process.records import ShimSpec
from .context import Context
from .environment import build_container

OOM_SCORES = {"Guaranteed": 200, "Burstable": 400, "BestEffort": 600}


async def build_shim_spec(
    context: Context, state: PodState, container: dict[str, Any], image: Image, directory: Path
) -> ShimSpec:
    """The `spec.json` of the attempt in `directory`. Raises VolumeError and the errors of `build_container`."""
    settings = context.settings
    scratch = directory / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    environment = context.images.environment(image)
    mounts = context.volumes.mounts(state.pod, container, state.volumes)
    built = await build_container(
        context.client,
        state.pod,
        container,
        image_env=environment,
        mounts=mounts,
        addresses=context.addresses,
        pod_ip=state.ip,
        host_ip=settings.host_ip,
        scratch=scratch,
        termination_log=directory / MESSAGE_FILE,
    )
    directories = {mount.mount_path: str(mount.host_path) for mount in mounts}
    directories.setdefault(environment.home, built.env["HOME"])
    directories.setdefault(container.get("workingDir") or environment.workdir or environment.home, built.cwd)
    return {
        "argv": built.argv,
        "env": {**built.env, **device_environment(state.devices.get(container["name"], []))},
        "cwd": built.cwd,
        "directories": {path: real for path, real in directories.items() if path.strip("/")},
        "imageID": image.image_id,
        "memoryLimit": memory_limit(container, state.pod["spec"]),
        "oomScoreAdj": OOM_SCORES.get((state.pod.get("status") or {}).get("qosClass", ""), OOM_SCORES["BestEffort"]),
        "logMaxBytes": settings.log_max_bytes,
        "logMaxFiles": settings.log_max_files,
        "nodeLock": str(layout.lock_file(settings.root)),
        "orphanGrace": settings.orphan_grace,
        "gracePeriod": state.grace_period,
    }


def device_environment(indices: list[int]) -> dict[str, str]:
    """Makes the GPUs of the container visible to CUDA, and no others."""
    visible = ",".join(map(str, indices))
    return {"CUDA_VISIBLE_DEVICES": visible, "NVIDIA_VISIBLE_DEVICES": visible or "void"}


def memory_limit(container: dict[str, Any], pod_spec: dict[str, Any]) -> int | None:
    """Bytes, or None for no limit. A limit of the whole pod applies to each of its containers."""
    limits = [((part.get("resources") or {}).get("limits") or {}).get("memory") for part in (container, pod_spec)]
    return min((int(quantities.parse(limit)) for limit in limits if limit), default=None)


def translate_word(spec: ShimSpec, *, namespace: str, ip: str, word: str) -> str:
    """Translates `word` of a command that will run in a container started from `spec`."""
    return translate(word, namespace=namespace, directories=spec.get("directories") or {}, pod_ip=ip)
