"""Limits that the hub and its proxy share."""

MAX_BODY = 256 * 1024
"""Bytes of the body of a request to the hub itself, which reads it as JSON at once: meanwhile all others wait."""
