"""`python -m kf_spawner.hub.proxy` runs the hub's proxy."""

from .app import main

if __name__ == "__main__":
    main()
