"""What a new home holds: `work/`, and the examples that come with the platform. Created once, never restored."""

import logging
import shutil
from pathlib import Path

log = logging.getLogger(__name__)

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def fill_new_home(home: Path) -> bool:
    """Fills `home` if it has only hidden files; returns whether it did. A failure is only logged."""
    try:
        if any(not entry.name.startswith(".") for entry in home.iterdir()):
            return False
        # All or nothing: if the server is killed meanwhile, the home is still empty.
        scratch = home / ".examples.part"
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(EXAMPLES, scratch, copy_function=shutil.copyfile)
        scratch.rename(home / "examples")
        (home / "work").mkdir(exist_ok=True)
    except OSError as error:
        log.warning("the home %s gets no examples: %s", home, error)
        return False
    return True
