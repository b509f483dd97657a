"""Facts of this machine: processors, memory, disk, GPUs and names. Reads them; decides nothing."""

import asyncio
import contextlib
import logging
import os
import platform
import re
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

NVIDIA_TIMEOUT = 20.0
MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True)
class Gpu:
    index: int
    product: str


def cpus() -> int:
    """Processors that this process may use, at least one. The quota of a container counts."""
    count = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):
        quota, period = CPU_LIMIT.read_text().split()
        count = min(count, max(1, int(quota) // int(period)))
    return count


def memory() -> int:
    """Bytes of memory. The limit of a container counts."""
    match = re.search(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    total = int(match[1]) * 1024 if match else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in MEMORY_LIMITS:
        with contextlib.suppress(OSError, ValueError):
            total = min(total, int(path.read_text()))
    return total


def disk(folder: Path) -> int:
    """Bytes of the file system that holds `folder`."""
    return shutil.disk_usage(folder).total


async def gpus() -> list[Gpu]:
    """The GPUs that nvidia-smi lists; none without the command or the driver."""
    if not shutil.which("nvidia-smi"):
        return []
    process = await asyncio.create_subprocess_exec(
        "nvidia-smi",
        "--query-gpu=index,name",
        "--format=csv,noheader",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), NVIDIA_TIMEOUT)
    except TimeoutError:
        process.kill()
        await process.wait()
        log.warning("nvidia-smi did not answer within %.0f s: this node has no GPUs", NVIDIA_TIMEOUT)
        return []
    text = output.decode(errors="replace")
    if process.returncode:
        log.warning("nvidia-smi failed, so this node has no GPUs: %s", text.strip()[:500])
        return []
    return parse_gpus(text)


def parse_gpus(listing: str) -> list[Gpu]:
    """The GPUs in the output of `nvidia-smi --query-gpu=index,name --format=csv,noheader`."""
    found = []
    for line in listing.splitlines():
        index, _, product = line.partition(",")
        if index.strip().isdigit():
            found.append(Gpu(int(index), product.strip()))
    return found


def default_name() -> str:
    """A node name made from the name of the host: a DNS-1123 label."""
    name = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().split(".")[0].lower()).strip("-")
    return name[:63].strip("-") or "localhost"


def node_info(*, version: str, kubelet_version: str) -> dict[str, Any]:
    """`status.nodeInfo`."""
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    machine_id = _first_line("/etc/machine-id")
    return {
        "machineID": machine_id,
        "systemUUID": machine_id,
        "bootID": _first_line("/proc/sys/kernel/random/boot_id"),
        "kernelVersion": platform.release(),
        "osImage": release.get("PRETTY_NAME", "Linux"),
        "containerRuntimeVersion": f"kf-spawner://{version}",
        "kubeletVersion": kubelet_version,
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": architecture(),
    }


def architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def _first_line(path: str) -> str:
    with contextlib.suppress(OSError):
        return Path(path).read_text().strip()
    return ""
