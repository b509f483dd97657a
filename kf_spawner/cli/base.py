"""Base class of the subcommands: the home directory, and errors as one plain sentence."""

import sys
from pathlib import Path
from typing import NoReturn

from traitlets import Unicode
from traitlets.config import Application

from kf_spawner import __version__

from .home import Home


class HomeApplication(Application):
    """A subcommand that uses one home directory."""

    version = __version__
    home_dir = Unicode(
        ".home",
        help="""Directory that holds all state: databases, keys, logs and volumes. It must be new, empty, or one
        that was used before; its mode becomes 0700. Default: .home in the current folder.""",
    ).tag(config=True)
    aliases = {"home": "HomeApplication.home_dir", "log-level": "Application.log_level"}

    @property
    def home(self) -> Home:
        return Home(Path(self.home_dir))

    def fail(self, message: str, code: int = 1) -> NoReturn:
        """Ends the command with an error message on stderr."""
        print(f"{self.name}: {message}", file=sys.stderr)
        sys.exit(code)
