"""Reads the values of deployment variables: lists, flags, choices, addresses, `null` for nothing. Imports no room."""

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from .installed_files import shared_files

T = TypeVar("T")

NOTHING = ("", "null")
"""Values that mean "not set": the original's charts write `null`."""

_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class BadVariable(Exception):
    """A deployment variable has a value that cannot be used. The message names both, and an example."""


def optional(name: str, *, default: str) -> str:
    """A text; empty where the variable is not set."""
    value = os.environ.get(name, default).strip()
    return "" if value in NOTHING else value


def names(name: str, *, default: str) -> set[str]:
    """A comma-separated list."""
    return {part.strip() for part in optional(name, default=default).split(",")} - {""}


def flag(name: str, *, default: bool) -> bool:
    """true or false."""
    value = os.environ.get(name, "").strip().lower()
    if value in NOTHING:
        return default
    if value not in _FLAGS:
        raise BadVariable(f"{name}={value}: give true or false")
    return _FLAGS[value]


def choice(name: str, choices: Mapping[str, T], *, default: str) -> T:
    """One of several; `null` may be one of them."""
    value = os.environ.get(name, "").strip() or default
    if value not in choices:
        raise BadVariable(f"{name}={value}: give one of {', '.join(choices)}")
    return choices[value]


def address(name: str, *, default: str) -> str:
    """An HTTP or HTTPS address, without a slash at its end."""
    value = os.environ.get(name, "").strip() or default
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise BadVariable(f"{name}={value}: give an address such as https://hub.example.com or http://127.0.0.1:8000")
    return value.rstrip("/")


def host_of(url: str) -> str:
    """The host in an address that `address` has read."""
    return urlsplit(url).hostname or ""


def is_address(host: str) -> bool:
    """Whether a host is an IP address, and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def port(name: str, *, default: int) -> int:
    """A port to listen on."""
    value = os.environ.get(name, "").strip() or str(default)
    if not (value.isascii() and value.isdecimal() and len(value) <= 5 and 0 < int(value) < 65536):
        raise BadVariable(f"{name}={value}: give a port, a whole number from 1 to 65535")
    return int(value)


def folder(name: str, *, default: str) -> Path:
    """A folder that exists."""
    value = Path(os.environ.get(name) or default)
    if not value.is_dir():
        raise BadVariable(f"{name}={value} is not a folder: create it, or name another")
    return value


def folder_of_images(name: str) -> Path:
    """The folder that the variable names; else `images/` of this version."""
    return Path(os.environ[name]) if os.environ.get(name) else shared_files() / "images"
