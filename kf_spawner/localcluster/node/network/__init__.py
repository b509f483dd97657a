"""Loopback addresses and ports for pods and services, and the proxy for cluster addresses of services.

May not know volumes, images or how a container is started.
"""
