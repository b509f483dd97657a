"""`python -m kf_spawner.cli` runs `kf-spawner`."""

from .app import main

main()
