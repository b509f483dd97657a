"""A node of the cluster: it registers with an API server and runs the pods bound to it as plain processes.

Owns everything between a bound pod and its processes: images as virtual environments, volumes as directories,
addresses, probes, logs, status. It works with any API server. It may import no other room except `kf_spawner.kube`
and the pure `kf_spawner.k8s`.
"""
