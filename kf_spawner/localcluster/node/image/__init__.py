"""Images as virtual environments: what the catalogue offers, how an image is built, which ones are here.

May not know pods, containers or the Kubernetes API.
"""
