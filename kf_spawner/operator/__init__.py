"""The TFJob controller: watches, queues, reconciles, elects a leader, measures; and serves the door its routes.

What to do is decided in `tfjob/` and `serving/`, which are pure; this room acts. May not build manifests itself.
"""
