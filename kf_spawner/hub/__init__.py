"""The hub's process without the spawner: login, the question that the door asks, its proxy, its pages.

May not know TFJobs, nor how an endpoint is made.
"""
