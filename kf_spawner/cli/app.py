"""The `kf-spawner` command and its subcommands, as traitlets applications like Jupyter's own."""

from traitlets.config import Application

from kf_spawner import __version__


class KfSpawner(Application):
    """Lists the subcommands. Each one is imported when it is called."""

    name = "kf-spawner"
    version = __version__
    description = "JupyterHub notebooks, TFJobs and model endpoints for TensorFlow, on a cluster or on this machine."
    subcommands = {
        "up": ("kf_spawner.cli.up.Up", "start everything and print the link; Ctrl-C stops everything"),
        "status": ("kf_spawner.cli.status.Status", "show what is running; --json for programs"),
        "down": ("kf_spawner.cli.down.Down", "stop what `up` started with this home directory"),
        "doctor": ("kf_spawner.doctor.app.Doctor", "show why a cluster cannot run the platform, and what to do"),
    }

    def start(self) -> None:
        if self.subapp is not None:
            self.subapp.start()
            return
        self.print_help()
        self.exit(2)


def main() -> None:
    """The console script."""
    KfSpawner.launch_instance()
