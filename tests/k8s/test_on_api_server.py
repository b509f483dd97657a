"""The table of quantities, row by row, against a real API server: it holds facts, not opinions."""

from collections.abc import AsyncIterator
from fractions import Fraction

import pytest

from kf_spawner.k8s import quantities
from kf_spawner.kube import ApiError, Client, Invalid, load_config
from kf_spawner.kube.paths import path_of
from kf_spawner.kube.resources import PODS
from tests.k8s.quantity_table import TABLE

NO_QUANTITY = ("quantities must match", "unable to parse")
BELOW_ZERO = "SizeLimit field must be a valid resource quantity"


@pytest.fixture
async def client(control_plane) -> AsyncIterator[Client]:
    async with Client(load_config(control_plane.admin_kubeconfig), user_agent="test") as opened:
        yield opened


async def read_by_api_server(client: Client, value: object) -> Fraction | str | None:
    """How the API server reads a volume size; None if it is not a quantity. A pod refuses negative sizes: says so."""
    volume = {"name": "scratch", "emptyDir": {"sizeLimit": value}}
    body = {
        "metadata": {"name": "quantity"},
        "spec": {"containers": [{"name": "main", "image": "image:1"}], "volumes": [volume]},
    }
    try:
        pod = await client.request("POST", path_of(PODS, "default"), params={"dryRun": "All"}, body=body)
    except ApiError as error:
        if any(words in error.message for words in NO_QUANTITY):
            return None
        if isinstance(error, Invalid) and BELOW_ZERO in error.message:
            return BELOW_ZERO
        raise
    return quantities.parse(pod["spec"]["volumes"][0]["emptyDir"]["sizeLimit"])


@pytest.mark.parametrize(("text", "number"), TABLE, ids=lambda value: repr(value)[:20])
async def test_the_api_server_reads_a_text_so(client, text, number):
    expected = Fraction(number) if number is not None else None
    below_zero = expected is not None and expected < 0
    assert await read_by_api_server(client, text) == (BELOW_ZERO if below_zero else expected)


@pytest.mark.parametrize(("value", "number"), [(1, 1), (1.5, Fraction(3, 2)), (True, None), ([], None), ({}, None)])
async def test_the_api_server_reads_another_json_value_so(client, value, number):
    assert await read_by_api_server(client, value) == number
    assert quantities.is_quantity(value) == (number is not None)
