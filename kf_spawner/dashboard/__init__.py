"""The hub service `tfjobs`: a user's TFJobs, or every user's for an administrator, in a browser and over REST.

Owns who may see which namespace, the dashboard's REST interface, the REST interface of Kubeflow's first dashboard,
and the pages. `kf_spawner.tfjob` defines a job; `kf_spawner.workloads` makes and watches one. Knows no Jupyter
server. A user's requests are made with the rights of the user's own service account: the API server enforces them.
"""
