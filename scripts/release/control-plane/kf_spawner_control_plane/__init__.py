"""The programs of kf-spawner's local control plane, in `bin`. kf-spawner finds them; this package has no code."""
