"""The kubelet's HTTP API, which the API server calls: container logs and exec.

Reads the pods and containers through the agent. May import every other sub-room of the node.
"""
