"""The home directory: holds all state, and says which `up` uses it."""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kf_spawner.localcluster.supervisor import is_alive, process_start, read_record, write_record

NAMES = {"door", "etcd", "hub", "kubeconfig", "kubeconfigs", "logs", "node", "pki", "run", "volumes"}
"""Everything that is made in a home directory."""


class HomeError(Exception):
    """This folder cannot be the home directory: it is in use or holds something else. The message says what to do."""


class Home:
    """Paths below one home directory; `make` creates it with mode 0700."""

    def __init__(self, root: Path):
        self.root = root.expanduser().resolve()
        self.kubeconfig = self.root / "kubeconfig"
        self.logs = self.root / "logs"
        self.run = self.root / "run"
        self.components = self.run / "components"
        self.hub = self.root / "hub"
        self.node = self.root / "node"
        self.door = self.root / "door"
        self.volumes = self.root / "volumes"

    def make(self) -> None:
        """Makes what is missing. Raises HomeError for a folder with other files: mode 0700 locks out their users."""
        if self.root.exists() and not self._is_ours():
            raise HomeError(
                f"{self.root} holds files that are not kf-spawner's, and a home directory is closed to everybody "
                f"else: name a new folder with --home, such as {self.root / 'kf-spawner'}"
            )
        for path in (self.root, self.logs, self.run, self.components, self.hub, self.node, self.door, self.volumes):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _is_ours(self) -> bool:
        """Whether an earlier `up` used it, or everything in it has a name that `up` makes."""
        if (self.run / "ports.json").exists():
            return True
        return {path.name for path in self.root.iterdir()} <= NAMES

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the home directory for one `up`; raises HomeError when another one has it."""
        with (self.run / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise HomeError(
                    f"kf-spawner already runs on {self.root}: use it, stop it with "
                    f"'kf-spawner down --home {self.root}', or choose another --home"
                ) from error
            yield

    def secret(self, name: str) -> str:
        """The random secret of this name, made once, readable by its owner alone."""
        path = self.run / name
        with (
            contextlib.suppress(FileExistsError),
            os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file,
        ):
            file.write(secrets.token_hex(32))
        return path.read_text()

    def announce(self, facts: dict[str, Any]) -> None:
        """Records this process as the `up` of this home directory; `status` shows `facts`."""
        pid = os.getpid()
        write_record(self.run / "up.json", {"pid": pid, "start": process_start(pid), **facts})

    def running(self) -> dict[str, Any] | None:
        """What the running `up` announced, or None."""
        record = read_record(self.run / "up.json")
        return record if record and is_alive(record) else None

    def retract(self) -> None:
        (self.run / "up.json").unlink(missing_ok=True)
