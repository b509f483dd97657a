"""The real etcd, kube-apiserver, kube-controller-manager and kube-scheduler on loopback.

Owns their binaries (`binaries`), keys and certificates (`pki`), kubeconfigs (`kubeconfig`), ports (`ports`), command
lines (`processes`) and what the API needs before others can use it (`bootstrap`). Knows neither pods nor our kinds.
"""
