"""Builds environments from pins: this is how the local node pulls an image.

A layer is a relocatable virtual environment. All images with the same pins and interpreter share it, because it
takes minutes to build. An image consists of hard links to its layers, our package and the overlays; it takes a
second or two. Both are built under a temporary name and renamed when complete, then nobody changes them: their files
are read-only, and what they hold is written down. Knows nothing of references, pods or tags.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

import uv

from .catalogue import EnvironmentSpec, ImageError
from .contents import is_intact, protect_files, protect_folders, record, release_folders
from .interpreters import Interpreter
from .progress import InstallProgress

Progress = Callable[[str], None]

LAYERS = "layers.txt"
"""File in an image that lists its layers."""
LOCK_POLL = 0.2
TAIL_LINES = 12
# No program of a user imports a test suite, and compiling them takes a third of the time.
NOT_COMPILED = r"/(tests?|testing/data|idlelib)/"
# The settings of another tool for its own Python must not change our builds.
FOREIGN = ("PYTHON", "VIRTUAL_ENV", "CONDA_", "UV_PROJECT", "UV_PYTHON")
# pip's settings for a mirror or for certificates, for a user who has not set those of uv.
PIP_SETTINGS = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_CERT": "SSL_CERT_FILE",
}
REMEDIES = {
    "No space left": "Free some space on that file system; an image takes up to 2.5 GB",
    "error sending request": "Check the network; a proxy is set with HTTPS_PROXY, a mirror with UV_DEFAULT_INDEX",
    "dns error": "Check the network; a proxy is set with HTTPS_PROXY, a mirror with UV_DEFAULT_INDEX",
    "certificate": "Set SSL_CERT_FILE to the certificates of your network's proxy",
    "Hash mismatch": "The download does not match its pin: check the mirror",
    "doesn't have a": "This package does not exist for this machine; use another architecture or a cluster",
}


def build_environ(cache: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment variables for the build programs: the caller's, without settings that would break a build."""
    clean = {name: value for name, value in environ.items() if not name.startswith(FOREIGN)}
    for theirs, ours in PIP_SETTINGS.items():
        if theirs in clean:
            clean.setdefault(ours, clean[theirs])
    return {**clean, "UV_CACHE_DIR": str(cache / "uv"), "UV_SYSTEM_CERTS": "true", "UV_PYTHON_DOWNLOADS": "never"}


async def build_layer(
    target: Path, spec: EnvironmentSpec, interpreter: Interpreter, *, cache: Path, progress: Progress
) -> None:
    """Builds the environment of `spec` as `target`, unless it is there as it was built."""
    async with file_lock(cache / "locks" / f"layer-{target.name}"):
        if await asyncio.to_thread(is_intact, target, thorough=True):
            return
        environ = build_environ(cache, os.environ)
        partial = target.with_name(f".partial-{target.name}")
        await asyncio.to_thread(remove_tree, partial)
        partial.parent.mkdir(parents=True, exist_ok=True)
        command = [uv.find_uv_bin(), "venv", "--quiet", "--relocatable", "--no-project"]
        await run([*command, "--python", interpreter.path, str(partial)], environ, cwd=cache)
        pins = str(spec.requirements)
        started = time.monotonic()
        install = InstallProgress(progress)
        command = [uv.find_uv_bin(), "pip", "sync", "--require-hashes", "--python", str(partial / "bin/python")]
        if target.exists():
            command.append("--no-cache")  # it was changed, and so were files of the cache: they are the same ones
        await run([*command, "--build-constraints", pins, pins], environ, cwd=cache, on_line=install.feed)
        progress(f"Installed {install.packages} packages in {time.monotonic() - started:.0f} s; compiling them")
        await asyncio.to_thread(prune, partial, spec.remove)
        for site in partial.glob("lib/python*/site-packages"):
            set_pip_apart(partial, site)
            compiler = [str(partial / "bin/python"), "-m", "compileall", "-qq", "-j", "0", "-x", NOT_COMPILED]
            # Some packages contain files for other versions of Python: they do not compile, and nothing imports them.
            await run([*compiler, str(site.parent)], environ, cwd=cache, check=False)
        await asyncio.to_thread(protect_files, partial)
        await asyncio.to_thread(record, partial)
        await asyncio.to_thread(put_in_place, partial, target)


async def build_image(
    target: Path, layers: Mapping[str, Path], specs: Sequence[EnvironmentSpec], *, package: Path, cache: Path
) -> None:
    """Builds the image `target` from `layers` (by folder), the overlays of `specs` and our `package`.

    The caller holds the image's lock.
    """
    partial = target.with_name(f".partial-{target.name}")
    await asyncio.to_thread(remove_tree, partial)
    partial.mkdir(parents=True)
    for spec in specs:
        await run(["cp", "-al", str(layers[spec.folder]), str(partial / spec.folder)], dict(os.environ), cwd=cache)
        await asyncio.to_thread(dress, partial / spec.folder, spec, package)
        await asyncio.to_thread(record, partial / spec.folder)
    (partial / LAYERS).write_text("\n".join(layer.name for layer in layers.values()))
    (partial / LAYERS).chmod(0o444)
    await asyncio.to_thread(protect_folders, partial)
    await asyncio.to_thread(put_in_place, partial, target)


def dress(environment: Path, spec: EnvironmentSpec, package: Path) -> None:
    """Copies the overlays and our package into one environment of an image."""
    for overlay in spec.files:
        # unlink first: the existing file is a hard link into the layer.
        for source in sorted(overlay.rglob("*")):
            if source.is_file():
                destination = environment / source.relative_to(overlay)
                destination.parent.mkdir(parents=True, exist_ok=True)
                destination.unlink(missing_ok=True)
                shutil.copyfile(source, destination)
                destination.chmod(0o555 if os.access(source, os.X_OK) else 0o444)
    for site in environment.glob("lib/python*/site-packages"):
        shutil.copytree(package, site / package.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        protect_files(site / package.name)


def prune(environment: Path, globs: Sequence[str]) -> None:
    """Removes what the description of an environment excludes, and scripts that break in a relocated environment."""
    for pattern in (*globs, "bin/activate*", "bin/*.bat"):
        for path in environment.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def set_pip_apart(environment: Path, site: Path) -> None:
    """Moves pip to a folder that only the environments of users' own packages look into (kf_spawner.user_packages).

    So no pip can change this environment, which all users share.
    """
    apart = site.with_name("pip")
    for part in (*site.glob("pip"), *site.glob("pip-*.dist-info")):
        apart.mkdir(exist_ok=True)
        part.rename(apart / part.name)
    for program in environment.glob("bin/pip*"):
        program.unlink()


def put_in_place(partial: Path, target: Path) -> None:
    """Renames a finished `partial` to `target`, in the place of one that was changed. Programs in it run on."""
    changed = target.with_name(f".changed-{target.name}")
    remove_tree(changed)
    with contextlib.suppress(FileNotFoundError):
        target.rename(changed)
    partial.rename(target)
    remove_tree(changed)


def remove_tree(path: Path) -> None:
    """Removes a folder if it exists."""
    release_folders(path)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)


@contextlib.asynccontextmanager
async def file_lock(path: Path) -> AsyncIterator[None]:
    """Holds an exclusive lock among all processes that use this cache; the kernel frees it when the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                # asyncio cannot wait for the lock of another process, and a waiting thread could not be cancelled.
                await asyncio.sleep(LOCK_POLL)
        yield
    finally:
        os.close(descriptor)


async def run(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    cwd: Path,
    on_line: Callable[[str], None] = lambda line: None,
    check: bool = True,
) -> None:
    """Runs a program to its end and passes its output to `on_line`, line by line. Kills it when cancelled.

    With `check`, raises ImageError with the end of the output and a remedy if the program fails.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=dict(environ),
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        limit=1 << 20,
    )
    assert process.stdout is not None
    tail: list[str] = []
    try:
        async for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip()
            tail = [*tail[1 - TAIL_LINES :], line]
            on_line(line)
        code = await process.wait()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if code and check:
        raise ImageError("ErrImagePull", failure(argv, code, tail, cwd))


def failure(argv: Sequence[str], code: int, tail: Sequence[str], cache: Path) -> str:
    """The message for a user whose image could not be built."""
    output = "\n".join(tail)
    remedy = next(
        (text for sign, text in REMEDIES.items() if sign in output), "Try again; finished downloads are kept"
    )
    return f"{Path(argv[0]).name} {argv[1]} ended with exit code {code} in {cache}:\n{output}\n{remedy}."
