"""The programs of kf-spawner's local control plane, in `bin`. kf-spawner finds them there; this package has no code."""
