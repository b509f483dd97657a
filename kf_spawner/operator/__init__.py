"""The TFJob controller: watches, queues, reconciles, elects a leader and exports metrics.

`tfjob/`, which is pure, decides what to do; this room does it. May not build manifests itself.
"""
