"""One worker for each pod that is bound to this node: admission, refusals, the order of its containers, its status.

Knows what a pod is made of and when it ends. May not know the HTTP API of `api/`.
"""
