"""Makes the generated files of the chart: its schema, the page of its values, copies of manifests.

    python helm/generate.py

`schema.yaml` and `kf_spawner/manifests/` are the sources; a test compares the output with the files.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from kf_spawner.k8s.quantities import PATTERN

HELM = Path(__file__).resolve().parent
CHART = HELM / "kf-spawner"
ROOT = HELM.parent
PAGE = ROOT / "docs" / "chart-values.md"
PART = "part"

INTRODUCTION = """\
# The chart's values

`make chart` makes this page from `helm/schema.yaml` and the chart's `values.yaml`. [helm.md](helm.md) says how to
install and use the chart. An unknown value or one of another type is refused with its path. Keys of
zero-to-jupyterhub have the same meaning here.
"""
EVERY_PART = """\
## Every part

These are the same below {parts}: `hub.resources`, `operator.nodeSelector`. Their defaults are in the chart's
`values.yaml`.
"""
SHAPES = {"serviceAccount", "affinity", "pool", "resources", "probe"}
"""Definitions whose own fields are told at their first use."""


def outputs() -> dict[Path, str]:
    """What is to be written, by path."""
    source = yaml.safe_load((HELM / "schema.yaml").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    made = {CHART / "values.schema.json": json.dumps(schema(source), indent=1) + "\n", PAGE: page(source, defaults)}
    for manifest in sorted((ROOT / "kf_spawner" / "manifests").glob("*.yaml")):
        made[CHART / "files" / manifest.name] = manifest.read_text()
    return made


def schema(source: dict) -> dict:
    """The JSON schema, with the keys of all parts for `part: true` and the grammar for `pattern: quantity`."""
    parts = source[PART]

    def expanded(node: Any) -> Any:
        if isinstance(node, list):
            return [expanded(item) for item in node]
        if not isinstance(node, dict):
            return node
        if node.get(PART) is True:
            node = {key: value for key, value in node.items() if key != PART}
            node["properties"] = {**node["properties"], **parts}
        if node.get("pattern") == "quantity":
            node = {**node, "pattern": PATTERN}
        # Before draft 2019-09 nothing counts beside a $ref.
        if "$ref" in node and "description" in node:
            node = {"description": node["description"], "allOf": [{"$ref": node["$ref"]}]}
        return {key: expanded(value) for key, value in node.items()}

    return expanded({key: value for key, value in source.items() if key != PART})


def page(source: dict, defaults: dict) -> str:
    """docs/chart-values.md."""
    part_names = [".".join(path) for path in _parts(source, ())]
    text = [INTRODUCTION]
    for key, node in source["properties"].items():
        text.append(f"## {key}\n\n{_sentence(node)}\n")
        rows = list(_rows(source, node, (key,), defaults.get(key)))
        if rows:
            text.append(_table(rows))
    names = ", ".join(f"`{name}`" for name in part_names[:-1]) + f" and `{part_names[-1]}`"
    text.append(EVERY_PART.format(parts=names))
    rows = [row for key, node in source[PART].items() for row in _rows(source, {"properties": {key: node}}, (), None)]
    text.append(_table([(name, "", meaning) for name, _, meaning in rows], with_defaults=False))
    return "\n".join(text)


def _parts(node: dict, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if node.get(PART) is True:
        yield path
    for key, child in (node.get("properties") or {}).items():
        yield from _parts(child, (*path, key))


def _rows(source: dict, node: dict, path: tuple[str, ...], default: Any) -> Iterator[tuple[str, str, str]]:
    """Value, default and meaning of all that is below `node`."""
    for key, child in (node.get("properties") or {}).items():
        value = default.get(key) if isinstance(default, dict) else None
        inner = {**source["definitions"].get(_shape(child), {}), **child}
        name = ".".join((*path, key))
        if "properties" in inner:
            yield name, "", _sentence(child)
            yield from _rows(source, inner, (*path, key), value)
        else:
            yield name, f"`{json.dumps(value)}`", _sentence(child)


def _shape(node: dict) -> str:
    name = node.get("$ref", "").rpartition("/")[2]
    return name if name in SHAPES else ""


def _sentence(node: dict) -> str:
    return node["description"].strip()


def _table(rows: list[tuple[str, str, str]], *, with_defaults: bool = True) -> str:
    if with_defaults:
        head, lines = "| value | default | meaning |\n|---|---|---|", [f"| `{n}` | {d} | {m} |" for n, d, m in rows]
    else:
        head, lines = "| value | meaning |\n|---|---|", [f"| `{n}` | {m} |" for n, _, m in rows]
    return "\n".join([head, *lines]) + "\n"


def main() -> None:
    for path, text in outputs().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
