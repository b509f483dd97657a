"""The TFJob dashboard as a service of the hub. Does not know what the dashboard shows.

Another process starts the dashboard and restarts it.
"""

from traitlets.config import Config

NAME = "tfjobs"


def add_dashboard(config: Config, *, url: str, token: str) -> None:
    """Adds the service at `url` with its API token, and lets all users open it; nothing where the URL is empty."""
    if not url:
        return
    service = {
        "name": NAME,
        "url": url,
        "api_token": token,
        "info": {"title": "TFJobs"},
        "oauth_no_confirm": True,  # it is a part of the platform
        "timeout": 0,  # seconds: the hub's start does not wait for it
    }
    config.JupyterHub.services = [service]
    config.JupyterHub.service_check_interval = 0
    scopes = config.JupyterHub.get("extra_user_scopes", ())
    config.JupyterHub.extra_user_scopes = {*scopes, f"access:services!service={NAME}"}
