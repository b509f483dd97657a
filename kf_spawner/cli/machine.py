"""Facts about the machine for `up`: other accounts, free ports, files; and what to do about a problem."""

import errno
import os
import pwd
import socket
from pathlib import Path

NO_LOGIN = ("nologin", "false", "sync")
FIRST_PERSON = 1000
NOBODY = 65534
REMEDIES = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "free some of your quota on that disk",
    errno.EACCES: "name a folder of yours with --home",
    errno.EPERM: "name a folder of yours with --home",
    errno.EROFS: "name a folder that can be written to with --home",
    errno.ENOTDIR: "that is a file: name a folder with --home",
}


def port_problem(host: str, port: int) -> str | None:
    """Why nothing can listen on `host`:`port`, or None."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return f"port {port} on {host} cannot be used: {error.strerror}. Choose another with --port"
    return None


def own_account() -> str:
    """The name of the account that we run as."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in some containers
        return f"uid {os.getuid()}"


def other_people() -> list[str]:
    """Accounts other than ours that somebody can log in with."""
    return sorted(
        entry.pw_name
        for entry in pwd.getpwall()
        if FIRST_PERSON <= entry.pw_uid < NOBODY
        and entry.pw_uid != os.getuid()
        and os.path.basename(entry.pw_shell) not in NO_LOGIN
    )


def secret_file_problem(path: Path) -> str | None:
    """Why this file cannot hold a password, or None."""
    try:
        mode = path.stat().st_mode
        content = path.read_text().strip()
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        return "it is not a text file: write a password into it"
    if mode & 0o077:
        return f"others can read it (mode {mode & 0o777:04o}): run 'chmod 600 {path}'"
    return None if content else "it is empty: write a password into it"


def write_problem(error: OSError, home: Path) -> str:
    """The message for a write below `home` that failed: why, and what to do."""
    remedy = REMEDIES.get(error.errno or 0, "")
    return f"{error.filename or home}: {error.strerror or repr(error)}{remedy and f'; {remedy}'}"
