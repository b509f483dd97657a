"""The start of an exec command: `python -I -S exec_child.py PARENT tty|- COMMAND…` replaces itself by COMMAND.

It makes the kernel kill the command when the node dies. With `tty`, the terminal on standard input becomes the
controlling terminal. It imports few modules of the standard library, because every exec waits for it.
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
        return 1  # the node died before the line above
    if terminal == "tty":
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # A command inherits ignored and blocked signals: from Python, and from nohup or & in front of the node.
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
