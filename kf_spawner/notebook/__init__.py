"""What a cell imports: the `%%tfjob` magic, TFJob, deploy and Endpoint, with their state shown in the cell.

Runs on Python 3.6 with IPython alone (TensorFlow 1.8 needs such a kernel). Talks to the notebook server's extension
and to nothing else; imports no other room.
"""

from typing import Any

from .endpoint import Endpoint, deploy, list_endpoints
from .errors import EndpointFailed, KfError, PredictFailed, TFJobDeleted, TFJobFailed
from .job import TFJob, list_tfjobs

__all__ = [
    "Endpoint",
    "EndpointFailed",
    "KfError",
    "PredictFailed",
    "TFJob",
    "TFJobDeleted",
    "TFJobFailed",
    "deploy",
    "list_endpoints",
    "list_tfjobs",
    "load_ipython_extension",
]


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext kf_spawner.notebook`: registers `%%tfjob` and `%tfjob`."""
    from .magic import TFJobMagics

    shell.register_magics(TFJobMagics)
