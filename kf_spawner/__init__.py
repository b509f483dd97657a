"""kf_spawner: a notebook platform for TensorFlow on Kubernetes, and on one machine that has none.

Holds the version alone: every image carries this package, the Python 3.6 kernel's too.
"""

__version__ = "0.1.0"
