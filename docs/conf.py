"""Sphinx's configuration: the pages of this folder as a site, built by `make docs`.

The Markdown stays readable without Sphinx: each README lists the pages of its folder, and the site's navigation is
made from these lists. A page that no README names is a warning, and warnings are errors.
"""

import posixpath
import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx

project = "kf_spawner"
extensions = ["myst_parser"]
exclude_patterns = ["*.py"]
root_doc = "README"
html_title = project
html_theme = "furo"
html_copy_source = False
nitpicky = True
myst_heading_anchors = 3

LINK = re.compile(r"\]\(([\w./-]+\.md)\)")


def with_navigation(text: str) -> str:
    """`text` with a hidden table of contents for each of its `##` sections that links to pages."""
    tables = []
    for section in re.split(r"^## ", text, flags=re.MULTILINE):
        caption = section.partition("\n")[0].lstrip("# ")
        pages = [page for page in dict.fromkeys(LINK.findall(section)) if not page.startswith("..")]
        if pages:
            tables.append("\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```"]))
    return "\n\n".join([text, *tables]) + "\n"


def with_files(name: str, text: str) -> str:
    """`text` of the page `name`, with links to pages outside this folder as links to files."""

    def replaced(link: re.Match[str]) -> str:
        outside = posixpath.normpath(posixpath.join(posixpath.dirname(name), link[1])).startswith("..")
        return f"](path:{link[1]})" if outside else link[0]

    return re.sub(r"\]\((\.\./[\w./-]+\.md)(?:#[\w-]*)?\)", replaced, text)


def _on_source_read(app: Sphinx, name: str, source: list[str]) -> None:
    source[0] = with_files(name, source[0])
    if name.rpartition("/")[2] == "README":
        source[0] = with_navigation(source[0])


def _on_build_finished(app: Sphinx, error: Exception | None) -> None:
    """A web server looks for index.html."""
    if error is None:
        shutil.copy(Path(app.outdir) / f"{root_doc}.html", Path(app.outdir) / "index.html")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _on_source_read)
    app.connect("build-finished", _on_build_finished)
