"""Builds programs from pinned Go modules into the cache of the user; `gomod/` is the module of the control plane.

Owns `<cache>/bin` and `<cache>/go`. After Ctrl-C or a crash, the next build continues: Go keeps each compiled
package, and a program gets its name only when it is complete.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import command, toolchain
from .locks import locked

Progress = Callable[[str], None]

KUBERNETES_VERSION = "v1.37.2"
"""The version that `gomod/go.mod` pins."""

_VERSION = "-X k8s.io/component-base/version"
FLAGS = (
    "-trimpath",
    "-ldflags=-s -w"
    # Without these, servers and clients report the version v0.0.0.
    f" {_VERSION}.gitVersion={KUBERNETES_VERSION} {_VERSION}.gitMajor=1 {_VERSION}.gitMinor=37"
    f" -X k8s.io/client-go/pkg/version.gitVersion={KUBERNETES_VERSION}",
)
TELL_EVERY = 2.0
"""Seconds between two lines of progress."""

REMEDIES = (
    ("no space left", "the disk is full: make 5 GB of room in {cache}, or set XDG_CACHE_HOME to a folder elsewhere"),
    ("quota exceeded", "your disk quota is used up: set XDG_CACHE_HOME to a folder elsewhere"),
    ("checksum mismatch", "the download does not match go.sum: try another network or another GOPROXY"),
    ("x509:", "the download's certificate is not trusted: set SSL_CERT_FILE to your network's certificate bundle"),
    ("signal: killed", "the machine ran out of memory (2 GB are needed): close something, then run it again"),
    ("killed by signal 9", "the machine ran out of memory (2 GB are needed): close something, then run it again"),
    ("cannot allocate memory", "the machine ran out of memory (2 GB are needed): close something, then run it again"),
)
NO_NETWORK = ("dial tcp", "lookup ", "i/o timeout", "connection refused", "proxyconnect", "error sending request",
              "failed to fetch", "dns error", "unreachable", "TLS handshake")  # fmt: skip
NO_NETWORK_REMEDY = (
    "the modules could not be downloaded: check the network, or set HTTPS_PROXY or GOPROXY to your network's proxy; "
    "or set KUBEBUILDER_ASSETS to a folder with the programs"
)
OTHER_REMEDY = "run it again to continue where it stopped; if it fails the same way, remove {cache} and try once more"


class BuildError(Exception):
    """The build failed; the message has the end of Go's output and the remedy."""


@dataclass(frozen=True)
class Module:
    """A Go module on disk and what to build from it."""

    folder: Path
    packages: Mapping[str, str]
    """Name of a file to build -> its main package; Go uses the last part of the package as the name."""
    programs: Mapping[str, str]
    """Name of a program -> its file. The program is a link if the names differ."""
    flags: Sequence[str] = FLAGS
    title: str = "the control plane"
    """The name of the product in messages."""
    architecture: str = ""
    """Go's name (GOARCH) of the processors to build for; empty: this machine's."""

    def key(self) -> str:
        """Identifies the build: other pins, sources, flags or another architecture give another key."""
        digest = hashlib.sha256("\0".join(self.flags).encode())
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                digest.update(f"\0{path.relative_to(self.folder)}\0".encode() + path.read_bytes())
        return digest.hexdigest()[:16] + (self.architecture and f"-{self.architecture}")


CONTROL_PLANE = Module(
    folder=Path(__file__).resolve().parent / "gomod",
    packages={
        "kf-control-plane": "./kf-control-plane",
        "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    },
    programs={
        "etcd": "kf-control-plane",
        "kube-apiserver": "kf-control-plane",
        "kube-controller-manager": "kf-control-plane",
        "kube-scheduler": "kf-control-plane",
        "kubectl": "kubectl",
    },
)


def cache_root() -> Path:
    """The folder for downloads and builds of this user: `$XDG_CACHE_HOME/kf-spawner`, else `~/.cache/kf-spawner`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kf-spawner"


async def ensure(module: Module, names: Sequence[str], *, cache: Path, progress: Progress) -> dict[str, Path]:
    """The programs `names` of `module`; builds them if the cache lacks one. Raises BuildError."""
    folder = cache / "bin" / module.key()
    wanted = {name: folder / name for name in names}
    if _all_there(wanted):
        return wanted
    try:
        async with locked(
            cache / "go" / "lock",
            on_wait=lambda: progress(f"waiting with {module.title} for another build to end"),
        ):
            if not _all_there(wanted):
                await _build(module, wanted, folder=folder, cache=cache, progress=progress)
    except command.CommandFailed as error:
        raise BuildError(_explained(error, module.title, cache)) from error
    except OSError as error:
        raise BuildError(f"cannot build {module.title}: {error}; {_remedy(str(error), cache)}") from error
    return wanted


def _all_there(programs: Mapping[str, Path]) -> bool:
    return all(path.exists() for path in programs.values())


async def _build(module: Module, names: Iterable[str], *, folder: Path, cache: Path, progress: Progress) -> None:
    """Builds into a temporary folder, then moves each program to its name in `folder`. The caller holds the lock."""
    at_least = toolchain.needed((module.folder / "go.mod").read_text())
    go = await toolchain.find_or_install(cache, at_least=at_least, progress=progress)
    folder.parent.mkdir(parents=True, exist_ok=True)
    for leftover in folder.parent.glob(".build-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".build-") as temporary:
        work, output = Path(temporary) / "work", Path(temporary) / "bin"
        work.mkdir()
        output.mkdir()
        env = _environment(go, cache, work, module.architecture)
        built = sorted({module.programs[name] for name in names})
        packages = [module.packages[name] for name in built]
        told = _Told(module.title, progress)
        stale = await _stale(go, module, packages, env=env, told=told)
        told.compiling(stale)
        await command.run(
            [str(go), "build", "-v", *module.flags, "-o", f"{output}/", *packages],
            cwd=module.folder,
            env=env,
            on_error=told.compiled,
        )
        folder.mkdir(exist_ok=True)
        for name in built:
            (output / name).rename(folder / name)
        for name in names:
            if name != module.programs[name]:
                (output / name).symlink_to(module.programs[name])
                (output / name).rename(folder / name)


async def sources(module: Module, *, cache: Path, progress: Progress) -> dict[str, set[Path]]:
    """What the programs of `module` are compiled from: `module@version` -> its packages' folders, up to its own.

    Go's standard library is `go@VERSION`. Downloads what is missing. Raises BuildError.
    """
    found: dict[str, set[Path]] = {}

    def note(line: str) -> None:
        if not line:
            return
        name, folder, package = line.split("\t")
        parts = (Path(package), *Path(package).parents)
        found.setdefault(name, set()).update(part for part in parts if part.is_relative_to(folder))

    version = "{{with .Replace}}{{.Version}}{{else}}{{.Version}}{{end}}"
    template = "{{with .Module}}{{.Path}}@" + version + "\t{{.Dir}}\t{{$.Dir}}{{end}}"
    try:
        at_least = toolchain.needed((module.folder / "go.mod").read_text())
        go = await toolchain.find_or_install(cache, at_least=at_least, progress=progress)
        env = _environment(go, cache, Path(tempfile.gettempdir()), module.architecture)
        argv = [str(go), "list", "-deps", *module.flags, "-f", template, *module.packages.values()]
        told = _Told(module.title, progress)
        await command.run(argv, cwd=module.folder, env=env, on_output=note, on_error=told.downloaded)
        facts: list[str] = []
        await command.run([str(go), "env", "GOVERSION", "GOROOT"], cwd=module.folder, env=env, on_output=facts.append)
    except command.CommandFailed as error:
        raise BuildError(_explained(error, module.title, cache)) from error
    go_version, root = facts
    return {**found, f"go@{go_version}": {Path(root)}}


async def _stale(
    go: Path, module: Module, packages: Sequence[str], *, env: Mapping[str, str], told: "_Told"
) -> set[str]:
    """The packages that still need compiling. Downloads their missing modules."""
    listed: list[str] = []
    await command.run(
        [str(go), "list", "-deps", *module.flags, "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", *packages],
        cwd=module.folder,
        env=env,
        on_output=listed.append,
        on_error=told.downloaded,
    )
    return {line for line in listed if line}


def _environment(go: Path, cache: Path, work: Path, architecture: str) -> dict[str, str]:
    """The environment of the caller (with its proxies), with our settings for Go."""
    return {
        **os.environ,
        **({"GOARCH": architecture} if architecture else {}),
        "PATH": f"{go.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "CGO_ENABLED": "0",
        "GOCACHE": str(cache / "go" / "build"),
        # Writable, so that `rm -r` can remove the cache.
        "GOFLAGS": "-mod=readonly -modcacherw",
        "GOMODCACHE": str(cache / "go" / "mod"),
        "GOTMPDIR": str(work),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


@dataclass
class _Told:
    """Turns the output of Go into progress lines. Each method returns whether it understands the line."""

    title: str
    progress: Progress
    modules: int = 0
    done: int = 0
    stale: set[str] = field(default_factory=set)
    started: float = field(default_factory=time.monotonic)
    last: float = 0.0

    def downloaded(self, line: str) -> bool:
        if not line.startswith("go: downloading "):
            return False
        self.modules += 1
        self._say(f"downloading the sources of {self.title}: {self.modules} modules")
        return True

    def compiling(self, stale: set[str]) -> None:
        self.stale = stale
        self.started = time.monotonic()
        self._say(f"building {self.title}: {len(stale)} packages to compile", now=True)

    def compiled(self, line: str) -> bool:
        if line not in self.stale:
            return False
        self.done += 1
        took = int(time.monotonic() - self.started)
        if self.done == len(self.stale):
            self._say(f"building {self.title}: linking the programs, {_minutes(took)}", now=True)
        else:
            self._say(f"building {self.title}: {self.done}/{len(self.stale)} packages, {_minutes(took)}")
        return True

    def _say(self, text: str, *, now: bool = False) -> None:
        if now or time.monotonic() - self.last >= TELL_EVERY:
            self.last = time.monotonic()
            self.progress(text)


def _minutes(seconds: int) -> str:
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"


def _explained(error: command.CommandFailed, title: str, cache: Path) -> str:
    output = f"\n{error.tail}\n" if error.tail else "; "
    return f"cannot build {title}: {error}{output}{_remedy(f'{error} {error.tail}', cache)}"


def _remedy(output: str, cache: Path) -> str:
    lowered = output.lower()
    for sign, remedy in REMEDIES:
        if sign in lowered:
            return remedy.format(cache=cache)
    if any(sign.lower() in lowered for sign in NO_NETWORK):
        return NO_NETWORK_REMEDY
    return OTHER_REMEDY.format(cache=cache)
