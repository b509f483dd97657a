"""Gives memory back that a large job has left: glibc keeps free memory between used pieces until it is asked."""

import ctypes

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back() -> None:
    """Takes some milliseconds at most; does nothing without glibc."""
    if _trim is not None:
        _trim(0)
