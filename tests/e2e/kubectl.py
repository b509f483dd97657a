"""The real kubectl, unmodified, with a kubeconfig."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = 60.0


@dataclass(frozen=True)
class Kubectl:
    binary: Path
    kubeconfig: str

    def __call__(self, *args: str, stdin: str | None = None, check: bool = True, timeout: float = TIMEOUT) -> str:
        """Its standard output; AssertionError with its words when it fails and `check` is set."""
        done = self.run(*args, stdin=stdin, timeout=timeout)
        assert not check or done.returncode == 0, f"kubectl {' '.join(args)}: {done.stderr}{done.stdout}"
        return done.stdout

    def run(self, *args: str, stdin: str | None = None, timeout: float = TIMEOUT) -> subprocess.CompletedProcess:
        return subprocess.run(
            [str(self.binary), *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environment,
        )

    def start(self, *args: str) -> subprocess.Popen:
        """A command that goes on, such as `get -w`; its output is a pipe."""
        return subprocess.Popen(
            [str(self.binary), *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
        )

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "KUBECONFIG": self.kubeconfig}
