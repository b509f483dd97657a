"""One container of a pod: pull, configure, start, hooks, probes, end and restart.

Knows one container at a time. May not know when a pod starts or ends: `pod/` decides that.
"""
