"""A whole real cluster on one machine, for tests: a control plane, kubelet, containerd, kube-proxy and CoreDNS.

    make cluster          # bring it up (root; Debian's packages are installed where they are missing)
    make cluster-down     # and nothing of it is left

It runs as a machine of its own: Linux namespaces for processes, mounts, network and host name, with its own /var and
/run, cgroups under one name, and all files in one folder. Ending the machine's first process ends all of it.
"""
