"""Which graph of a SavedModel is served. A SavedModel can hold several, each with a set of tags."""

from pathlib import Path
from typing import Any

from .errors import not_found


def choose(path: Path, tags: list[str] | None, tf: Any) -> list[str]:
    """The tags of the graph to load: those given, else `serve` alone, else the first that have `serve` among them.

    Raises `ServingError` that names the sets that there are.
    """
    from tensorflow.python.saved_model.loader_impl import parse_saved_model  # has no public name

    graphs = parse_saved_model(str(path)).meta_graphs
    there = [sorted(graph.meta_info_def.tags) for graph in graphs]
    serve = tf.saved_model.SERVING
    wanted = sorted(set([serve] if tags is None else tags))
    if wanted in there:
        return wanted
    for found in there:
        if tags is None and serve in found:
            return found
    known = "; ".join(",".join(found) for found in there) or "none"
    raise not_found(f"it has no graph with the tags {','.join(wanted)}. The tags of its graphs are: {known}")
