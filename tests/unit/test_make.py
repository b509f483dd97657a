"""The Makefile's commands, read and not run."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def commands(*arguments: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # of `make test` itself
    done = subprocess.run(["make", "-n", *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return done.stdout


def test_clean_leaves_the_users_files():
    assert ".venv" in commands("clean").split()
    assert ".home" not in commands("clean")


def test_run_passes_arguments_on():
    assert commands("run", "ARGS=--password-file secret").rstrip().endswith("--password-file secret")
