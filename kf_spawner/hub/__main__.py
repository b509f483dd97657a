"""`python -m kf_spawner.hub` runs JupyterHub with the configuration of this version."""

import os
import sys

from kf_spawner.installed_files import shared_files


def main() -> None:
    """Replaces this process with the hub. JupyterHub gets all arguments."""
    config = shared_files() / "jupyterhub_config.py"
    os.execv(sys.executable, [sys.executable, "-m", "jupyterhub", f"--config={config}", *sys.argv[1:]])  # noqa: S606


if __name__ == "__main__":
    main()
