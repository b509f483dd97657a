"""The message of `up` once everything runs: the link, how to log in, who else can, what users share. Pure."""

import shlex
from collections.abc import Sequence
from pathlib import Path

ADMIN = "admin"
NAMES_TOLD = 5


def greeting(
    *,
    hub: str,
    kubeconfig: str,
    kubectl: Path | None,
    authenticator: str,
    password_file: str,
    people: Sequence[str],
    account: str,
) -> list[str]:
    """The lines. `kubectl`: a program that is not on PATH; `people`: the other accounts of this machine; `account`:
    the account that runs the pods, empty where another machine does."""
    lines = [f"Hub: {hub}", export(kubeconfig)]
    if kubectl:
        lines.append(f"alias kubectl={shlex.quote(str(kubectl))}")
    if authenticator == "iap":
        lines.append("Log in through the identity-aware proxy in front of it.")
    else:
        who = "as anybody" if authenticator == "null" else f"as {ADMIN}"
        password = f"the password in {password_file}" if password_file else "an empty password"
        lines.append(f"Log in {who} with {password}.")
    if account:
        lines.append(
            f"Users are not kept apart here: each user's programs run as {account} and can read and change all that "
            f"{account} can, also other users' files (docs/up.md)."
        )
    if people and authenticator != "iap" and not password_file:
        lines.append(
            f"Other people have accounts on this machine ({', '.join(people[:NAMES_TOLD])}): each of them can log in "
            "the same way and run programs as you. To keep them out of the hub, start with --password-file FILE. The "
            "ports of running jobs and endpoints have no password (docs/up.md)."
        )
    return lines


def export(kubeconfig: str) -> str:
    """The line for a shell that lets kubectl find the cluster."""
    return f"export KUBECONFIG={shlex.quote(kubeconfig)}"
