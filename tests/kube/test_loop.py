"""A large collection does not hold the event loop while an informer takes it over."""

import contextlib

from kf_spawner.kube import Informer
from kf_spawner.kube.resources import PODS
from tests.fixtures.canned_api import canned_api
from tests.fixtures.loop_time import loop_is_never_held


def pod(number: int, version: int) -> dict:
    meta = {"namespace": "ns", "name": f"pod-{number}", "uid": f"uid-{number}", "resourceVersion": str(version)}
    return {"metadata": meta, "spec": {"containers": [{"name": "main"}]}}


async def test_the_first_list_of_many_objects():
    changed = []

    def on_change(key: str, _old: dict | None, _new: dict | None) -> None:
        changed.append(key)
        sum(range(1500))  # what somebody does with a change

    with canned_api() as api:
        api.answers["GET", "/api/v1/pods"] = {
            "metadata": {"resourceVersion": "1"},
            "items": [pod(number, 1) for number in range(5000)],
        }
        async with api.client() as client, contextlib.AsyncExitStack() as stack, loop_is_never_held():
            informer = await stack.enter_async_context(Informer(client, PODS, on_change=on_change))
            await informer.synced()
        assert len(informer.items()) == 5000
    assert changed == [f"ns/pod-{number}" for number in range(5000)]
