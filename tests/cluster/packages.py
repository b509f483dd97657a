"""The machine's programs that a test cluster needs, from Debian's packages. Knows names of files and packages."""

import os
import shutil
import subprocess
from pathlib import Path

PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "mount": "mount",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}
"""Program -> the Debian package that has it."""
NETWORK_PLUGINS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
NETWORK_PLUGIN_PACKAGE = "containernetworking-plugins"
SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", "/usr/local/sbin"))


class PackagesMissing(Exception):
    """Programs are not there and cannot be installed; the message says what to do."""


def program(name: str) -> str:
    """The file of a program of PROGRAMS."""
    found = shutil.which(name, path=SEARCH)
    assert found, f"{name} is not there: call ensure() first"
    return found


def network_plugins() -> Path:
    """The folder of the network plugins."""
    return next(folder for folder in NETWORK_PLUGINS if (folder / "ptp").exists())


def missing() -> list[str]:
    """Debian packages to install."""
    packages = {package for name, package in PROGRAMS.items() if shutil.which(name, path=SEARCH) is None}
    if not any((folder / "ptp").exists() for folder in NETWORK_PLUGINS):
        packages.add(NETWORK_PLUGIN_PACKAGE)
    return sorted(packages)


def ensure() -> None:
    """Install what is missing. Raises PackagesMissing."""
    packages = missing()
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise PackagesMissing(f"install {', '.join(packages)} (Debian's names) with this system's package manager")
    print(f"installing {' '.join(packages)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "-oDPkg::Lock::Timeout=300", "--no-install-recommends", *packages]
    for argv in (["apt-get", "update", "-qq"], install):
        ended = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise PackagesMissing(f"{' '.join(argv)} failed:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    if left := missing():
        raise PackagesMissing(f"apt-get installed {', '.join(left)}, and their programs are still not found")
