"""The hub service `tfjobs`: TFJobs of a user, of all users for an administrator, in a browser and by REST.

Owns who may see which namespace, the REST interface with that of Kubeflow's first dashboard, and the pages. What a
job is says `kf_spawner.tfjob`; how one is made and followed it shares with `kf_spawner.extension`. Needs no Jupyter
server. What a user does happens with the rights of the user's own service account: the API server is the wall.
"""
