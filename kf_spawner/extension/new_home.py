"""What a new home holds: `work/`, and the examples that come with the platform. Made once, never put back."""

import logging
import shutil
from pathlib import Path

log = logging.getLogger(__name__)

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def fill_new_home(home: Path) -> bool:
    """Fills `home` if it holds nothing yet but hidden files; whether it did. A failure is logged, no more."""
    try:
        if any(not entry.name.startswith(".") for entry in home.iterdir()):
            return False
        # Whole or not at all: a server that is killed meanwhile finds a home that is still empty.
        scratch = home / ".examples.part"
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(EXAMPLES, scratch, copy_function=shutil.copyfile)
        scratch.rename(home / "examples")
        (home / "work").mkdir(exist_ok=True)
    except OSError as error:
        log.warning("the home %s gets no examples: %s", home, error)
        return False
    return True
