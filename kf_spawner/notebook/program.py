"""Program text from a cell, a function, a script or a notebook file."""

import inspect
import json
import os
import textwrap
from typing import Any, Callable, Dict, Optional, Sequence

from .errors import KfError

CALL = """%s

if __name__ == "__main__":
    import json

    args, kwargs = json.loads(%r)
    %s(*args, **kwargs)
"""


def checked(source: str, where: str) -> str:
    """`source`, if this Python can compile it."""
    if not source.strip():
        raise KfError("%s is empty: write the program that each replica runs" % where, field="program")
    try:
        compile(source, where, "exec")
    except (SyntaxError, ValueError) as problem:
        line = getattr(problem, "lineno", None)
        place = "line %s of %s" % (line, where) if line else where
        hint = ""
        text = (getattr(problem, "text", None) or "").lstrip()
        if text[:1] in ("%", "!"):
            hint = "; a job runs plain Python, without IPython's % and ! lines"
        raise KfError("%s: %s%s" % (place, getattr(problem, "msg", problem), hint), field="program")
    return source


def from_function(
    function: Callable[..., Any], args: Sequence[Any] = (), kwargs: Optional[Dict[str, Any]] = None
) -> str:
    """The function's source and a call of it. It contains its imports; arguments are JSON values."""
    name = getattr(function, "__name__", "")
    if not inspect.isfunction(function) or name == "<lambda>":
        raise KfError("must be a function made with def", field="function")
    if function.__closure__:
        names = ", ".join(function.__code__.co_freevars)
        raise KfError("%s uses %s from outside: give it as an argument" % (name, names), field="function")
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError) as problem:
        raise KfError("the source of %s cannot be found: %s" % (name, problem), field="function")
    try:
        call = json.dumps([list(args), kwargs or {}])
    except (TypeError, ValueError) as problem:
        raise KfError("must be values that JSON can hold: %s" % problem, field="args")
    return CALL % (source, call, name)


def from_script(path: str) -> str:
    """The text of a Python file."""
    return checked(_read(path), os.path.basename(path))


def from_notebook(path: str) -> str:
    """The code cells of a notebook file, without IPython's own lines and cells of other languages."""
    try:
        cells = json.loads(_read(path))["cells"]
    except (ValueError, KeyError, TypeError):
        raise KfError("%s is not a notebook (version 4)" % path, field="path")
    parts = []
    for cell in cells:
        source = "".join(cell.get("source") or "")
        if cell.get("cell_type") == "code" and not source.lstrip().startswith("%%"):
            parts.append("\n".join(_plain(line) for line in source.split("\n")))
    return checked("\n\n".join(parts) + "\n", os.path.basename(path))


def _plain(line: str) -> str:
    """An IPython line as a comment, so that the other lines keep their numbers."""
    bare = line.lstrip()
    if bare.startswith(("%", "!")):
        return line[: len(line) - len(bare)] + "pass  # " + bare
    return line


def _read(path: str) -> str:
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError, TypeError) as problem:  # TypeError: it is not a path
        raise KfError("%s cannot be read: %s" % (path, problem), field="path")
