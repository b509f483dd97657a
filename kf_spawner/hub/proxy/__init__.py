"""The hub's proxy: it sends each request of the door to the server of the route that matches the request's path, and
its host where each user has a domain.

Owns the routes and their REST API (configurable-http-proxy's, which JupyterHub speaks), and how requests, answers and
WebSockets pass: piece by piece, so that the slower side holds back the faster one. May not know who a user is.

Nothing else of a request chooses the server. Only the door may ask: it sends the token of `KF_DOOR_TOKEN`.
"""
