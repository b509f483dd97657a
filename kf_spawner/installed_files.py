"""Where the files other than Python are: images, examples, the hub's configuration. Imports no room."""

import sys
from pathlib import Path


def shared_files() -> Path:
    """The folder with images/, examples/ and jupyterhub_config.py: the checkout, or where setup.py installed them."""
    checkout = Path(__file__).resolve().parents[1]
    return checkout if (checkout / "jupyterhub_config.py").is_file() else Path(sys.prefix) / "share" / "kf-spawner"
