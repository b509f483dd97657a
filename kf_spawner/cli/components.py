"""Command lines of our own processes: operator, door, the hub's proxy, hub, dashboard. Pure."""

import os
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kf_spawner.localcluster.supervisor import ProcessSpec

from .home import Home
from .ready import LOOPBACK, serving

PORTS = ("operator", "door-ping", "proxy", "proxy-api", "hub", "dashboard")
"""Names of the ports that one home directory keeps."""

DASHBOARD_PREFIX = "/services/tfjobs/"
DASHBOARD = "tfjobs--service"
"""The dashboard's name below the hub's, where users and services have domains; JupyterHub makes it."""
LOCALHOST = "localhost"
"""The hub's name then: browsers find it and all names below it on this machine."""

PASSED_ON = (
    "HOME",
    "LANG",
    "LC_ALL",
    "PATH",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_CACHE_HOME",
    "PYENV_ROOT",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    # The deployment variables that docs/hub-variables.md lists.
    "DEFAULT_IMAGE",
    "DEFAULT_JUPYTERLAB",
    "KF_AUTHENTICATOR",
    "KF_CONFIG_DIR",
    "KF_IAP_AUDIENCE",
    "KF_IMAGE_TAG",
    "KF_MODEL_SERVER_IMAGE",
    "KF_PVC_LIST",
    "KF_SERVERS_CONNECT_URL",
    "KF_USERS",
    "NOTEBOOK_PVC_MOUNT",
    "REGISTRY",
    "REPO_NAME",
)
"""The only variables of the caller's environment that every component gets. A KUBECONFIG that happens to be set, or
credentials of a cloud, are not among them."""


@dataclass(frozen=True)
class Settings:
    """The settings of `up`, its ports and its folders."""

    home: Home
    host: str
    port: int
    ports: Mapping[str, int]
    share: Path
    password_file: Path | None = None
    subdomains: bool = False

    @property
    def url(self) -> str:
        """What a browser opens."""
        return f"http://{LOCALHOST}:{self.port}" if self.subdomains else self.door_url

    @property
    def door_url(self) -> str:
        """The door by its address, which programs find too: not all resolve names below localhost."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{LOOPBACK if self.host in ('0.0.0.0', '::') else host}:{self.port}"

    def local_url(self, name: str) -> str:
        return f"http://{LOOPBACK}:{self.ports[name]}"


def environment(**extra: str) -> dict[str, str]:
    """The environment of a component's process."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    # Programs of our own environment come first: the node finds uv there.
    kept["PATH"] = f"{sysconfig.get_path('scripts')}:{kept.get('PATH', os.defpath)}"
    return {**kept, "PYTHONUNBUFFERED": "1", **extra}


def script(name: str) -> str:
    """A program that one of our dependencies installed."""
    return str(Path(sysconfig.get_path("scripts")) / name)


def operator(settings: Settings, *, kubeconfig: Path, after: tuple[str, ...]) -> ProcessSpec:
    """The TFJob operator."""
    argv = [
        sys.executable,
        "-m",
        "kf_spawner.operator",
        f"--kubeconfig={kubeconfig}",
        f"--metrics-port={settings.ports['operator']}",
    ]
    ready = serving(settings.ports["operator"], "/readyz")
    return ProcessSpec("operator", argv, environment(), ready, after=after)


def proxy(settings: Settings, *, token: str, door_token: str) -> ProcessSpec:
    """The hub's own proxy: a route for each user's server."""
    argv = [
        sys.executable,
        "-m",
        "kf_spawner.hub.proxy",
        f"--host={LOOPBACK}",
        f"--port={settings.ports['proxy']}",
        f"--api-host={LOOPBACK}",
        f"--api-port={settings.ports['proxy-api']}",
        f"--error-url={settings.local_url('hub')}/hub/error",
    ]
    # Without a token its API answers 403: the proxy is ready.
    ready = serving(settings.ports["proxy-api"], "/api/routes", statuses=(403,))
    return ProcessSpec("proxy", argv, environment(CONFIGPROXY_AUTH_TOKEN=token, KF_DOOR_TOKEN=door_token), ready)


def hub(settings: Settings, *, kubeconfig: Path, token: str, dashboard_token: str, by_the_door: bool) -> ProcessSpec:
    """JupyterHub with `jupyterhub_config.py`, which reads all of these variables.

    `by_the_door`: that is how servers reach the hub, as they are not on this machine.
    """
    env = environment(
        CONFIGPROXY_AUTH_TOKEN=token,
        KF_BIND_HOST=settings.host,
        KF_DASHBOARD_TOKEN=dashboard_token,
        KF_DASHBOARD_URL=settings.local_url("dashboard"),
        KF_DOOR_URL=settings.door_url,
        KF_HUB_DIR=str(settings.home.hub),
        KF_HUB_HOST=LOOPBACK,
        KF_HUB_PORT=str(settings.ports["hub"]),
        KF_IMAGES_DIR=str(settings.share / "images"),
        KF_PROXY_API_URL=settings.local_url("proxy-api"),
        KF_PUBLIC_URL=settings.url,
        KF_SUBDOMAINS=str(settings.subdomains).lower(),
        KUBECONFIG=str(kubeconfig),
    )
    if by_the_door:
        env.setdefault("KF_SERVERS_CONNECT_URL", settings.door_url)
    if settings.password_file is not None:
        env["KF_PASSWORD_FILE"] = str(settings.password_file)
    argv = [sys.executable, "-m", "jupyterhub", f"--config={settings.share / 'jupyterhub_config.py'}"]
    ready = serving(settings.ports["hub"], "/hub/health")
    return ProcessSpec("hub", argv, env, ready, after=("proxy",), stop_timeout=20.0)


def dashboard(settings: Settings, *, kubeconfig: Path, token: str, after: tuple[str, ...]) -> ProcessSpec:
    """The hub service `tfjobs`. `up` does not wait for it: the login page comes first."""
    public = f"http://{DASHBOARD}.{LOCALHOST}:{settings.port}{DASHBOARD_PREFIX}"
    domain = {
        "JUPYTERHUB_HOST": settings.url,
        "JUPYTERHUB_PUBLIC_URL": public,
        "JUPYTERHUB_OAUTH_CALLBACK_URL": f"{public}oauth_callback",
    }
    env = environment(
        **(domain if settings.subdomains else {}),
        JUPYTERHUB_API_TOKEN=token,
        JUPYTERHUB_API_URL=f"{settings.local_url('hub')}/hub/api",
        JUPYTERHUB_BASE_URL="/",
        JUPYTERHUB_CLIENT_ID="service-tfjobs",
        JUPYTERHUB_SERVICE_NAME="tfjobs",
        JUPYTERHUB_SERVICE_PREFIX=DASHBOARD_PREFIX,
        KF_IMAGES_DIR=str(settings.share / "images"),
    )
    argv = [
        sys.executable,
        "-m",
        "kf_spawner.dashboard",
        f"--kubeconfig={kubeconfig}",
        f"--host={LOOPBACK}",
        f"--port={settings.ports['dashboard']}",
        "--log-level=WARN",
    ]
    ready = serving(settings.ports["dashboard"], f"{DASHBOARD_PREFIX}healthz")
    return ProcessSpec("dashboard", argv, env, ready, after=after, late=True)


def door(settings: Settings, *, kubeconfig: Path, token: str, after: tuple[str, ...]) -> ProcessSpec:
    """Traefik with the routes to endpoints, on the address that browsers use."""
    argv = [
        sys.executable,
        "-m",
        "kf_spawner.door",
        f"--kubeconfig={kubeconfig}",
        f"--host={settings.host}",
        f"--port={settings.port}",
        f"--proxy-url={settings.local_url('proxy')}",
        f"--authorize-url={settings.local_url('hub')}/hub/kf/authorize",
        f"--ping-host={LOOPBACK}",
        f"--ping-port={settings.ports['door-ping']}",
        f"--folder={settings.home.door}",
        *([f"--hub-domain={LOCALHOST}"] if settings.subdomains else []),
    ]
    ready = serving(settings.ports["door-ping"], "/ping")
    return ProcessSpec("door", argv, environment(KF_DOOR_TOKEN=token), ready, after=after)
