"""One attempt of a container as a tree of processes: its shim, its records on disk, its end.

Uses the standard library only. May not know pods or the Kubernetes API.
"""
