"""Writes TFJobs into etcd behind the API server's back, as if they had been stored before there were any rules."""

import base64
import json
import ssl
import uuid

import aiohttp

from tests.fixtures.control_plane import ControlPlane


class PastAdmission:
    """etcd's own HTTP API. Nothing is checked, defaulted or pruned on the way."""

    def __init__(self, control_plane: ControlPlane):
        files = control_plane.credentials
        self._url = f"https://127.0.0.1:{control_plane.ports['etcd-client']}/v3/kv/put"
        self._tls = ssl.create_default_context(cafile=str(files.etcd_authority))
        pair = files.api_server_to_etcd
        self._tls.load_cert_chain(pair.certificate, pair.key)

    async def store(self, *jobs: dict) -> None:
        """Each with a name and a namespace; the rest of its metadata is made here."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
            for job in jobs:
                given = job["metadata"]
                made = {"uid": str(uuid.uuid4()), "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}
                obj = {**job, "metadata": {**given, **made}}
                key = f"/registry/kubeflow.org/tfjobs/{given['namespace']}/{given['name']}"
                body = {"key": _encoded(key), "value": _encoded(json.dumps(obj))}
                async with http.post(self._url, json=body, ssl=self._tls) as answer:
                    assert answer.status == 200, await answer.text()


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
