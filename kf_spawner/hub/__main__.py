"""`python -m kf_spawner.hub`: JupyterHub with the configuration of this version, wherever that was installed."""

import os
import sys

from kf_spawner.installed_files import shared_files


def main() -> None:
    """Becomes the hub; further arguments are JupyterHub's own."""
    config = shared_files() / "jupyterhub_config.py"
    os.execv(sys.executable, [sys.executable, "-m", "jupyterhub", f"--config={config}", *sys.argv[1:]])  # noqa: S606


if __name__ == "__main__":
    main()
