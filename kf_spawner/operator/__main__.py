"""`python -m kf_spawner.operator`."""

from .app import OperatorApp

if __name__ == "__main__":
    OperatorApp.launch_instance()
