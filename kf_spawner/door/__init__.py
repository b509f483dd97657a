"""The one door: Traefik's own configuration. Pure; knows neither how Traefik is started nor what an endpoint is."""
