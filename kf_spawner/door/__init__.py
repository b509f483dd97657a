"""The one door: Traefik, its configuration, the routes to endpoints that it follows on the API server, and the
answers of the hub that it uses again.

May not know what an endpoint is made of (`serving` says which pods answer for it), nor who may call one (the hub
decides).
"""
