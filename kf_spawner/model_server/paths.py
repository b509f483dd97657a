"""The paths of TF Serving's REST API: which model, version and method one asks for. Pure.

`/v1/models/NAME[/versions/V|/labels/L]`, then `:predict`, `:classify`, `:regress`, `/metadata` or nothing, for the
status. Case does not count but in names. `/model/` is the first part in Kubeflow's first HTTP proxy of TF Serving.
"""

import re
from dataclasses import dataclass

from .errors import invalid, no_label, no_servable, no_version

_PATH = re.compile(
    r"/(?:v1/models|model)/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
    r"(?::(?P<verb>predict|classify|regress)|/(?P<metadata>metadata))?",
    re.IGNORECASE | re.ASCII,
)
_WITHOUT_NAME = re.compile(r"/v1/models(?:/(?:versions/\d+|labels/[^/:]+))?(?:/metadata)?", re.IGNORECASE | re.ASCII)
_MOST = 2**63 - 1


@dataclass(frozen=True)
class Address:
    """What a path names.

    `asks` is `status`, `metadata` or one of the methods; `version` is digits, "" for the latest.
    """

    name: str
    asks: str
    version: str = ""
    label: str = ""

    @property
    def method(self) -> str:
        """The HTTP method that it needs."""
        return "GET" if self.asks in ("status", "metadata") else "POST"

    def version_of(self, served: str) -> int | None:
        """The version of the model `served`, None for the latest. Raises `ServingError` for another model."""
        if len(self.version.lstrip("0")) > len(str(_MOST)) or int(self.version or 0) > _MOST:
            raise invalid(f"Failed to convert version: {self.version} to numeric.")
        if self.label:
            raise no_label(self.label)
        version = int(self.version) if self.version else None
        if self.name == served:
            return version
        raise no_version(self.name, version) if self.asks == "status" else no_servable(self.name, version)


def parse(method: str, path: str) -> Address | None:
    """What a path names; None if it is no path of the API. Raises `ServingError` if it names no model."""
    matched = _PATH.fullmatch(path)
    if matched:
        asks = (matched["verb"] or matched["metadata"] or "status").lower()
        return Address(matched["name"], asks, matched["version"] or "", matched["label"] or "")
    if method == "GET" and _WITHOUT_NAME.fullmatch(path):
        raise invalid("Missing model name in request.")
    return None
