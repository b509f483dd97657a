"""What it takes to start a user's notebook server on Kubernetes, and to say why one did not start.

Owns the KubeSpawner subclass with its traits, the options form, the way from options to validated values, and the
diagnosis of failed spawns. `catalogue`, `options`, `cluster_facts`, `diagnosis` and `progress_text` are pure: they
decide; `spawner` asks the API server and acts. Knows nothing of TFJobs, endpoints or of what answers behind the API.
"""
