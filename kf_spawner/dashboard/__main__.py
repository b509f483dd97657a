"""`python -m kf_spawner.dashboard` starts the dashboard."""

from .app import main

main()
