"""The error of a configuration that would let strangers log in."""


class UnsafeLogin(Exception):
    """This configuration would let strangers log in. The message says what to set instead."""
