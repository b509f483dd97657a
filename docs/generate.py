"""Writes the pages of reference that are made from the code: `settings.md` and `notebook-api.md`.

    python docs/generate.py

The sources are the traits of our classes with their help, and the docstrings of `kf_spawner.notebook`. A test
compares what this writes with what is there.
"""

import argparse
import importlib
import inspect
import math
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from traitlets import Bool, Dict, Float, HasTraits, Int, List, TraitType, Unicode
from traitlets.config import Application

import kf_spawner
from kf_spawner import model_server, notebook
from kf_spawner.model_server.flags import arguments
from kf_spawner.notebook import magic

DOCS = Path(__file__).resolve().parent
KINDS = ((Bool, "true or false"), (Int, "whole number"), (Float, "number"), (Unicode, "text"), (List, "list"),
         (Dict, "dictionary"))  # fmt: skip

SETTINGS = """\
# Settings

Made by `make reference` from the traits of our classes. Every setting of a program is a flag, `--Class.name=VALUE`;
some have a short flag, which is named here. Others: [the hub's variables](hub-variables.md),
[the chart's values](chart-values.md).
"""
NOTEBOOK = """\
# API of `kf_spawner.notebook`

Made by `make reference` from the docstrings. How it is used: [notebook.md](notebook.md).
"""


def outputs() -> dict[Path, str]:
    """What is to be written, by path."""
    return {DOCS / "settings.md": settings_page(), DOCS / "notebook-api.md": notebook_page()}


def our_classes() -> Iterator[type[HasTraits]]:
    """Every class of this package with traits, in the order of its modules' names."""
    for module in sorted(pkgutil.walk_packages(kf_spawner.__path__, "kf_spawner."), key=lambda found: found.name):
        # Both rooms run in environments of their own, and have no traits.
        if module.name.startswith((notebook.__name__, model_server.__name__)) or module.name.endswith("__main__"):
            continue
        for _, value in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(value, HasTraits) and value.__module__ == module.name:
                yield value


def own_settings(owner: type[HasTraits]) -> dict[str, TraitType]:
    """The settings that `owner` defines, in the order in which it does; none that it inherits or overrides."""
    inherited = getattr(owner.__mro__[1], "_traits", {})
    traits = owner.class_own_traits(config=True)
    return {name: traits[name] for name in vars(owner) if name in traits and name not in inherited}


def settings_page() -> str:
    """docs/settings.md."""
    owners = [owner for owner in our_classes() if own_settings(owner)]
    flags = _flags()
    text = [SETTINGS]
    for owner in owners:
        text.append(f"## {owner.__name__}\n\n{_purpose(owner)}\n\n{_where(owner)}\n")
        for name, trait in own_settings(owner).items():
            path = f"{owner.__name__}.{name}"
            kind = ", ".join([*flags.get(path, []), _kind(trait)])
            text.append(f"### {path}\n\n{kind}\n\n{_wrapped(trait.help)}\n")
    text.append(f"## Model server\n\n{_arguments(arguments(), 'Flags of `python -m kf_spawner.model_server`.')}")
    return "\n".join(text)


def _flags() -> dict[str, list[str]]:
    """Path of a setting -> its short flags."""
    found: dict[str, list[str]] = {}
    for owner in our_classes():
        if not issubclass(owner, Application):
            continue
        targets = {flag: target if isinstance(target, str) else target[0] for flag, target in owner.aliases.items()}
        for flag, (config, _) in owner.flags.items():
            [(name, traits)] = config.items()
            [trait] = traits
            targets[flag] = f"{name}.{trait}"
        for flag, target in targets.items():
            flags = found.setdefault(target, [])
            if f"`--{flag}`" not in flags:
                flags.append(f"`--{flag}`")
    return found


def _purpose(owner: type[HasTraits]) -> str:
    """What the class is for: a program's description, else the docstring."""
    return vars(owner).get("description") or _paragraphs(owner)


def _where(owner: type[HasTraits]) -> str:
    """Where the settings of this class are set."""
    package = owner.__module__.rpartition(".")[0]
    if not issubclass(owner, Application):
        return f"In the configuration file of JupyterHub: `c.{owner.__name__}.NAME = VALUE`."
    names = [vars(heir).get("name", "") for heir in (owner, *owner.__subclasses__())]
    commands = sorted(f"`{name}`" for name in names if " " in name)
    if commands:
        return f"Flags of {', '.join(commands)}."
    if find_spec(f"{package}.__main__"):
        return f"Flags of `python -m {package}`."
    return f"In the configuration file of the Jupyter server: `c.{owner.__name__}.NAME = VALUE`."


def _kind(trait: TraitType) -> str:
    """What such a setting is in words, with its range."""
    kind = next(words for kind, words in KINDS if isinstance(trait, kind))
    least, most = getattr(trait, "min", None), getattr(trait, "max", None)
    if least in (None, -math.inf):
        return kind
    return f"{kind}, at least {least}" if most in (None, math.inf) else f"{kind} from {least} to {most}"


def notebook_page() -> str:
    """docs/notebook-api.md."""
    text = [NOTEBOOK, f"## %%tfjob\n\n{_arguments(magic._parser())}"]
    public = [getattr(notebook, name) for name in notebook.__all__ if name != "load_ipython_extension"]
    functions = [value for value in public if inspect.isfunction(value)]
    errors = [value for value in public if inspect.isclass(value) and issubclass(value, Exception)]
    classes = [value for value in public if inspect.isclass(value) and value not in errors]
    for function in functions:
        text.append(f"## {function.__name__}\n\n{_described(function.__name__, function)}")
    for owner in classes:
        text.append(f"## {owner.__name__}\n\n{_described(owner.__name__, owner)}")
        for name, member in vars(owner).items():
            if not name.startswith("_"):
                path = f"{owner.__name__}.{name}"
                text.append(f"### {path}\n\n{_described(path, getattr(owner, name, member))}")
    text.append("## Errors\n")
    text += [f"### {error.__name__}\n\n{_paragraphs(error)}\n" for error in sorted(errors, key=_depth)]
    return "\n".join(text)


def _depth(error: type) -> int:
    return len(error.__mro__)


def _described(name: str, value: Any) -> str:
    """A signature, if it can be called, and the docstring."""
    if isinstance(value, property):
        return f"{_paragraphs(value)}\n"
    signature = re.sub(r"\b(?:typing|kf_spawner(?:\.\w+)+)\.", "", str(inspect.signature(value)))
    signature = signature.replace("(self, ", "(").replace("(self)", "()").replace("'", "").removesuffix(" -> None")
    return f"```python\n{_folded(name + signature)}\n```\n\n{_paragraphs(value)}\n"


def _folded(signature: str) -> str:
    """A long signature with one parameter a line."""
    if len(signature) <= 100:
        return signature
    head, _, rest = signature.partition("(")
    inside, _, result = rest.rpartition(")")
    parameters = re.split(r", (?=[\w*]+\s*[:=,]|[\w*]+$)", inside)
    return "\n".join([f"{head}(", *(f"    {parameter}," for parameter in parameters), f"){result}"])


def _arguments(parser: argparse.ArgumentParser, where: str = "") -> str:
    """What a parser's program does, where its arguments are given, and a table of them."""
    rows = []
    for action in parser._actions:
        if not isinstance(action, argparse._HelpAction):
            value = f" {action.metavar}" if action.metavar else ""
            name = f"{action.option_strings[0]}{value}" if action.option_strings else action.dest.upper()
            rows.append(f"| `{name}` | {_help(action).replace('|', chr(92) + '|')} |")
    about = [_wrapped((parser.description or "").replace("%%", "%")), where]
    return "\n\n".join([*filter(None, about), "\n".join(["| argument | means |", "|---|---|", *rows])]) + "\n"


def _help(action: argparse.Action) -> str:
    """The help of one argument, as argparse prints it."""
    return (action.help or "") % {"default": action.default}


def _paragraphs(value: Any) -> str:
    doc = inspect.getdoc(value)
    assert doc, f"{value} has no docstring"
    return doc


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 118, break_long_words=False, break_on_hyphens=False)


def main() -> None:
    for path, text in outputs().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
