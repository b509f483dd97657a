"""Every promise of docs/security.md names code and tests that are there."""

from .test_architecture import ROOT, quoted

PAGE = (ROOT / "docs" / "security.md").read_text()
ROWS = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("|")][2:]


def test_every_promise_is_enforced_and_tested_somewhere():
    assert len(ROWS) >= 10
    for promise, _, code, tests in ROWS:
        named = [*quoted(code), *quoted(tests)]
        assert quoted(code), promise
        assert all(path.startswith("tests/") for path in quoted(tests)), promise
        assert quoted(tests), promise
        assert not [path for path in named if not (ROOT / path).exists()], promise
