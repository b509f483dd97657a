"""A node: registers itself with an API server and runs the pods bound to it as plain processes.

Owns everything between a bound pod and its processes: images as virtual environments, volumes as directories,
addresses, probes, logs, status. May import `kf_spawner.kube` and nothing else of the project; works against any
API server.
"""
