"""Runs cells in an IPython shell and prints what each one did. Python 3.6, as the kernels that it stands for."""

import json
import signal
import sys

from IPython.core.interactiveshell import InteractiveShell


def show(_kind, _value, lines):
    """In place of IPython's own printing: the traceback behind a mark."""
    print("\x1eERROR\n" + "\n".join(lines), flush=True)


# As a kernel does: who started the tests in the background may have left interrupts ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
with open(sys.argv[1]) as file:
    cells = json.load(file)
shell = InteractiveShell.instance()
shell._showtraceback = show
for cell in cells:
    print("\x1eCELL", flush=True)
    shell.run_cell(cell)
    sys.stdout.flush()
