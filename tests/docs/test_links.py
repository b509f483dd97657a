"""Every link in a Markdown file of this repository leads somewhere, and the site is built without a warning."""

import collections
import itertools
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
CONFIGURATION = runpy.run_path(str(DOCS / "conf.py"))


def pages() -> list[Path]:
    names = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in names.split()]


def tokens(page: Path) -> Iterator[Token]:
    """The blocks of a page, and what is in them."""
    for block in MarkdownIt().enable("table").parse(page.read_text()):
        yield block
        yield from block.children or []


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    seen: collections.Counter[str] = collections.Counter()
    blocks = list(tokens(page))
    for block, inline in itertools.pairwise(blocks):
        if block.type == "heading_open":
            title = "".join(part.content for part in inline.children or [])
            slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return found


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere. Addresses on the web are not asked."""
    bad = []
    for token in tokens(page):
        target = str(token.attrs.get("href") or token.attrs.get("src") or "")
        if not target or re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            bad.append(target)
    return bad


def test_links_lead_somewhere():
    found = {str(page.relative_to(ROOT)): broken(page) for page in pages()}
    assert "README.md" in found
    assert {page: bad for page, bad in found.items() if bad} == {}


def test_broken_links_are_found(tmp_path):
    (tmp_path / "other.md").write_text("# A title: `--x`\n\n# Twice\n\n# Twice\n")
    page = tmp_path / "page.md"
    good = "[a](other.md#a-title---x) [b](other.md#twice-1) [c](other.md) [d](https://example.com) [e](#here)"
    page.write_text(
        f"# Here\n\n{good}\n\n| [f](gone.md) |\n|---|\n| [g](other.md#gone) |\n\n![h](gone.png) [i](#gone)\n"
    )
    assert broken(page) == ["gone.md", "other.md#gone", "gone.png", "#gone"]


@pytest.mark.parametrize(
    ("name", "text", "page"),
    [
        ("up", "[a](../README.md) [b](door.md#x)", "[a](path:../README.md) [b](door.md#x)"),
        ("decisions/chart", "[a](../up.md) [b](../../README.md#run-it)", "[a](../up.md) [b](path:../../README.md)"),
    ],
)
def test_links_out_of_the_site_lead_to_the_file(name, text, page):
    assert CONFIGURATION["with_files"](name, text) == page


def test_the_site_is_built_without_warnings(tmp_path):
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(DOCS), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (built.returncode, built.stderr) == (0, "")
    front = (tmp_path / "index.html").read_text()
    missing = [
        page for page in DOCS.rglob("*.md") if f'href="{page.relative_to(DOCS).with_suffix(".html")}"' not in front
    ]
    assert [page.name for page in missing] == ["README.md"]
