"""What the tests on a cluster promise of themselves: none is skipped where it can run, and all are counted."""

import collections
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def pytest_says(*arguments: str) -> tuple[int, str]:
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_a_skip_is_a_failure_on_the_cluster_of_make_cluster(tmp_path: Path):
    file = tmp_path / "test_skips.py"
    file.write_text(
        "import pytest\n"
        "@pytest.fixture\ndef there(): pytest.skip('of somebody else')\n"
        "def test_one(there): pass\n"
        "@pytest.mark.skipif(True, reason='not root')\ndef test_two(): pass\n"
        "def test_three(): pass\n"
    )
    assert pytest_says(str(file))[0] == 0
    code, said = pytest_says("-n", "2", "-p", "tests.cluster.no_skips", str(file))
    assert code == 1
    assert "1 passed" in said
    for reason in ("of somebody else", "not root"):
        assert f"and did not: Skipped: {reason}" in said


def test_the_table_of_cases_is_true():
    """docs/testing.md says how many cases each area has on both nodes."""
    rows = re.findall(r"^\|[^|]+\| `(test_\w+\.py)` \| (\d+) \|$", (ROOT / "docs" / "testing.md").read_text(), re.M)
    code, said = pytest_says("--collect-only", "--quiet", "tests/node/life")
    assert code == 0, said
    counted = collections.Counter(re.findall(r"^tests/node/life/(test_\w+\.py)::", said, re.M))
    assert {file: int(number) for file, number in rows} == counted
