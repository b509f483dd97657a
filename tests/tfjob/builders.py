"""Builders of small TFJobs and their parts."""


def template(**container) -> dict:
    return {"spec": {"containers": [{"name": "tensorflow", "image": "tf", **container}]}}


def replica(count: int | None = 1, restart: str | None = None) -> dict:
    spec: dict = {"template": template()}
    if count is not None:
        spec["replicas"] = count
    if restart:
        spec["restartPolicy"] = restart
    return spec


def claim(name: str, **fields) -> dict:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **fields}
    return {"metadata": {"name": name}, "spec": spec}


def job(name: str = "mnist", *, run_policy: dict | None = None, restart: str | None = None, **counts: int) -> dict:
    spec: dict = {"tfReplicaSpecs": {kind: replica(count, restart) for kind, count in counts.items()}}
    if run_policy:
        spec["runPolicy"] = run_policy
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"name": name, "namespace": "kf-admin", "uid": f"job-{name}"},
        "spec": spec,
    }
