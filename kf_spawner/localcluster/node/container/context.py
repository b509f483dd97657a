"""What all workers of a node share: clients, stores and settings."""

from dataclasses import dataclass
from pathlib import Path

import aiohttp

from kf_spawner.kube import Client, EventRecorder

from ..common.restarts import CRASH_FIRST, CRASH_MOST, Backoff
from ..image.store import ImageStore
from ..network.addresses import Addresses
from ..volume.manager import VolumeManager
from .devices import Devices


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings in seconds and bytes; the traits of `app.NodeApp` with these names describe them."""

    root: Path
    host_ip: str = "127.0.0.1"
    orphan_grace: float = 120.0
    stop_grace: float = 10.0
    log_max_bytes: int = 10 * 1024 * 1024
    log_max_files: int = 5
    backoff_first: float = CRASH_FIRST
    backoff_most: float = CRASH_MOST
    refresh_interval: float = 20.0

    def backoff(self, *, initial: float = 0.0) -> Backoff:
        """The pauses of a container on this node; the first retry comes after `initial` seconds."""
        return Backoff(initial=initial, first=self.backoff_first, most=self.backoff_most)


@dataclass(frozen=True, kw_only=True)
class Context:
    """Passed to every worker; `http` is for probes and hooks only."""

    settings: Settings
    client: Client
    events: EventRecorder
    images: ImageStore
    volumes: VolumeManager
    addresses: Addresses
    devices: Devices
    http: aiohttp.ClientSession
