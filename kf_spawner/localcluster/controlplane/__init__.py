"""The real etcd, kube-apiserver, kube-controller-manager and kube-scheduler on loopback.

Owns their programs (`binaries`, `build`), keys and certificates (`pki`), clients and kubeconfigs (`credentials`),
ports (`ports`) and command lines (`process_specs`). Knows neither pods nor our kinds.
"""
