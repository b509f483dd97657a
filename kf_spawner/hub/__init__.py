"""What the hub's process needs beyond the spawner: handlers of its own, its pages' templates."""
