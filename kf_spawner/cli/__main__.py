"""`python -m kf_spawner.cli` is `kf-spawner`."""

from .app import main

main()
