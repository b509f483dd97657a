"""`python -m kf_spawner.localcluster.node`."""

from .app import NodeApp

if __name__ == "__main__":
    NodeApp.launch_instance()
