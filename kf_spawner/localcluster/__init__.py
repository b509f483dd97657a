"""A Kubernetes cluster on one machine that has none: a real control plane, and a node that runs pods as processes."""
