"""What the API server calls a kind, and at which path it is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Resource:
    """One API resource; `group` is empty for the core group. `plural` is its name in URLs."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`group/version`, as in an object's `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version
