"""The volumes of a pod as directories of this machine, and the provisioner that creates a directory for each claim.

May not know containers or pods beyond the `volumes` and `volumeMounts` of their specs.
"""
