"""The one door: Traefik, its configuration, and the routes to endpoints that it follows on the API server.

May not know what an endpoint is made of (`serving` says which pods answer for it), nor who may call one (the hub
decides).
"""
