"""The shim and what starts it use the standard library only: each container has a shim, which must stay small."""

import pkgutil
import subprocess
import sys
from pathlib import Path

from kf_spawner.localcluster.node import process

ROOT = Path(__file__).parents[3]


def test_the_modules_of_process_can_be_imported_without_any_installed_package():
    names = [f"{process.__name__}.{module.name}" for module in pkgutil.iter_modules(process.__path__)]
    code = f"import sys; sys.path.append({str(ROOT)!r}); import {', '.join(names)}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
