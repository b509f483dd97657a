"""What the server extension and the dashboard share: TFJobs made, listed, watched and deleted for a user, over HTTP.

Owns jobs, submissions (several objects made together or not at all), job watches, log streams, views for people, and
the JSON of answers and errors. Knows the Kubernetes client, `kf_spawner.tfjob` and tornado. Knows no Jupyter server
and no hub: the rooms above decide who calls, and with which rights.
"""
