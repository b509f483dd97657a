"""The Makefile's commands, read and not run, and the hooks that are made of them."""

import os
import re
import subprocess
from pathlib import Path

import yaml

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


def test_help_lists_every_command_that_is_not_a_part_of_another():
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    shown = re.findall(r"^make (\S+)", listed, re.MULTILINE)
    phony = " ".join(re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)).split()
    assert sorted(shown) == sorted(
        name for name in phony if not name.startswith("check-") and not name.endswith("-venv")
    )


def test_the_hooks_before_a_commit_check_what_make_check_does():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook["entry"].removeprefix("make -s ") for repo in config["repos"] for hook in repo["hooks"]]
    assert commands("check").splitlines()[1:] == [line for hook in hooks for line in commands(hook).splitlines()[1:]]
