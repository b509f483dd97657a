"""The one door: Traefik and its configuration. Does not know what an endpoint is, nor where the hub runs."""
