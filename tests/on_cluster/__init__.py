"""What must hold on a real cluster: the one that the variable CLUSTER names a kubeconfig of. See docs/testing.md."""
