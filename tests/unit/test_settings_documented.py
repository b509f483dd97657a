"""Every setting has a heading in docs/: traits of our classes, variables that jupyterhub_config.py reads."""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

from traitlets import HasTraits

import kf_spawner

ROOT = Path(__file__).resolve().parents[2]
# Not ours to document: variables that name a place of the machine itself.
HEADINGS = {
    line.lstrip("# ").replace("`", "").strip()
    for page in (ROOT / "docs").glob("*.md")
    for line in page.read_text().splitlines()
    if line.startswith("#")
}


def our_classes():
    for module in pkgutil.walk_packages(kf_spawner.__path__, "kf_spawner."):
        if module.name.startswith("kf_spawner.notebook") or module.name.endswith("__main__"):
            continue
        for _, value in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(value, HasTraits) and value.__module__ == module.name:
                yield value


def settings() -> set[str]:
    return {
        f"{owner.__name__}.{name}"
        for owner in our_classes()
        for name in owner.class_own_traits(config=True)
        if name not in getattr(owner.__mro__[1], "_traits", {})
    }


def variables() -> set[str]:
    tree = ast.parse((ROOT / "jupyterhub_config.py").read_text())
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {
        word for word in words if re.fullmatch(r"(KF_|NOTEBOOK_|DEFAULT_|REGISTRY|REPO_NAME|GCP_|CLOUD_)\w*", word)
    }


def test_every_trait_has_a_heading_and_help():
    found = settings()
    assert {"Up.port", "Down.timeout"} <= found
    assert found - HEADINGS == set()


def test_every_variable_has_a_heading():
    found = variables()
    assert "KF_PASSWORD_FILE" in found
    assert found - HEADINGS == set()


def test_help_says_something():
    for owner in our_classes():
        for name, trait in owner.class_own_traits(config=True).items():
            assert len(trait.help) > 10, f"{owner.__name__}.{name} has no help"
