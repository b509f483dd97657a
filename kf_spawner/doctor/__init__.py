"""Says why a cluster does not run the platform, before and after it is installed.

Each check is a pure function from what the API server says to findings. `run` asks the questions, `prober` is
the only module that makes objects, and it removes each of them again. Knows the platform by its labels and its CRD.
"""
