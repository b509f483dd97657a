"""`python -m kf_spawner.door` runs the door."""

from .app import main

if __name__ == "__main__":
    main()
