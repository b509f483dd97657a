"""What an exec'd command starts as: `python -I -S exec_child.py PARENT tty|- COMMAND…`, then it becomes COMMAND.

Ties the command to the node's life (a node that is killed takes its commands along) and, with a terminal on
standard input, makes that the controlling one. Standard library only, and little of it: every exec pays for it.
"""

import ctypes
import fcntl
import os
import signal
import sys
import termios

PR_SET_PDEATHSIG = 1
NOT_FOUND = 127
NOT_EXECUTABLE = 126


def main(parent: str, terminal: str, *argv: str) -> int:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent):
        return 1  # it died before it could have killed us
    if terminal == "tty":
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # What is ignored or blocked stays so in the command: by Python itself, and by nohup or & of whoever started us.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execvp(argv[0], argv)  # noqa: S606
    except OSError as error:
        print(f"exec: {argv[0]}: {error.strerror}", file=sys.stderr)
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
