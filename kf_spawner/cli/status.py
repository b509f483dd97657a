"""`kf-spawner status`: shows what uses a home directory."""

import json
from typing import Any

from traitlets import Bool

from kf_spawner.localcluster.supervisor import is_alive, read_record

from .base import HomeApplication
from .greeting import export
from .home import Home

NOT_RUNNING = 3


class Status(HomeApplication):
    """Exit code 0 when it runs, 3 when it does not (as systemctl status)."""

    name = "kf-spawner status"
    description = "Show what is running with a home directory."
    as_json = Bool(False, help="Print JSON, for programs. Default: false.").tag(config=True)
    flags = {"json": ({"Status": {"as_json": True}}, "print JSON")}
    examples = "kf-spawner status --home .home --json"

    def start(self) -> None:
        facts = describe(self.home)
        print(json.dumps(facts, indent=2) if self.as_json else _words(facts))
        self.exit(0 if facts["running"] else NOT_RUNNING)


def describe(home: Home) -> dict[str, Any]:
    """What `up` recorded, and which of its components run: {running, hub, kubeconfig, pid, components}."""
    up = home.running()
    components = []
    for path in sorted(home.components.glob("*.json")):
        record = read_record(path)
        if record:
            components.append({"name": path.stem, "pid": record["pid"], "running": is_alive(record)})
    facts = {"running": up is not None, "home": str(home.root), "components": components}
    return {**facts, **{key: up[key] for key in ("pid", "hub", "kubeconfig", "ready")}} if up else facts


def _words(facts: dict[str, Any]) -> str:
    if facts["running"]:
        state = "running" if facts["ready"] else "starting"
        lines = [f"kf-spawner is {state} on {facts['home']}", f"Hub: {facts['hub']}"]
        lines.append(export(facts["kubeconfig"]))
    else:
        lines = [f"kf-spawner is not running on {facts['home']}"]
        left = [entry["name"] for entry in facts["components"] if entry["running"]]
        if left:
            lines.append(f"a killed kf-spawner left these running: {', '.join(left)}; 'kf-spawner down' stops them")
    width = max((len(entry["name"]) for entry in facts["components"]), default=0)
    for entry in facts["components"]:
        lines.append(f"  {entry['name']:{width}}  {'running' if entry['running'] else 'stopped'}  pid {entry['pid']}")
    return "\n".join(lines)
