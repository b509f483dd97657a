"""Loopback addresses and ports for pods and services, and the proxy that stands for a service.

May not know volumes, images or how a container is started.
"""
