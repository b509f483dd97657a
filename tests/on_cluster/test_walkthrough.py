"""The main job on a real cluster, by HTTP: install, log in, spawn, and every cell of the quickstart in a container.

Needs the images of hub, notebook and model server on the nodes (`make images`).
"""

from tests.e2e.client import HubClient
from tests.e2e.test_http_journey import run_notebook

from .platform import installed

IMAGE = "tensorflow-2.21.0-notebook-cpu"


async def test_quickstart(helm_program, kubeconfig, kubectl, tmp_path):
    """Login -> jupyter-admin Running in a container -> a TFJob and an endpoint from cells."""
    with installed(helm_program, kubeconfig, kubectl, tmp_path) as platform:
        platform.until_up()
        async with HubClient(platform.url, password=platform.password) as client:
            await client.make_token()
            messages = await client.spawn({"image": IMAGE})
            assert len(messages) >= 3, messages
            pod = kubectl("--namespace", "kf-admin", "get", "pod", "jupyter-admin", "-o", "jsonpath={.status.phase}")
            assert pod.stdout == "Running", pod.stderr
            shown = await run_notebook(client, "examples/quickstart.ipynb")
            for word in ("Hello TensorFlow", "test accuracy", "Succeeded"):
                assert word in shown
            jobs = kubectl("--namespace", "kf-admin", "get", "tfjobs,deployments", "-o", "name")
            assert "tfjob" in jobs.stdout
            await client.stop_server()
