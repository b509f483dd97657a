"""Routes below the service's prefix. A handler identifies the caller, parses and calls the service; no more."""

from typing import Any

from tornado.web import RedirectHandler

from . import api, login, original, pages

NAMESPACE, NAME, REPLICA = r"(?P<namespace>[^/]+)", r"(?P<name>[^/]+)", r"(?P<replica>[^/]+)"
JOB = rf"api/jobs/{NAMESPACE}/{NAME}"
ORIGINAL = r"tfjobs/api"


def routes(prefix: str, static: str) -> list[tuple[Any, ...]]:
    """All routes of the service at `prefix`, such as `/services/tfjobs/`; `static` is the folder of files."""
    below: list[tuple[Any, ...]] = [
        (r"api/user", api.User),
        (r"api/form", api.Form),
        (r"api/watch", api.Watch),
        (r"api/jobs", api.Jobs),
        (JOB, api.Job),
        (rf"{JOB}/watch", api.JobWatch),
        (rf"{JOB}/logs", api.JobLogs),
        (rf"{JOB}/logs/{REPLICA}/download", api.LogDownload),
        (rf"{ORIGINAL}/tfjob", original.AllJobs),
        (rf"{ORIGINAL}/tfjob/{NAMESPACE}", original.Jobs),
        (rf"{ORIGINAL}/tfjob/{NAMESPACE}/{NAME}", original.Job),
        (rf"{ORIGINAL}/logs/{NAMESPACE}/{NAME}", original.Log),
        (rf"{ORIGINAL}/namespace", original.Namespaces),
        (r"(?:tfjobs/)?api(?:/.*)?", api.Nothing),
        (r"oauth_callback", login.Callback),
        (r"healthz", login.Health),
        (r"static/(.*)", pages.Static, {"path": static}),
        (r".*", pages.Page),
    ]
    return [
        (prefix.rstrip("/"), RedirectHandler, {"url": prefix}),
        *((prefix + path, *rest) for path, *rest in below),
    ]
