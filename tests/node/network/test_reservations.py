"""Slices and ports of loopback: never the same for two processes, and free again with their owner."""

import socket
import subprocess
import sys
import uuid

import pytest

from kf_spawner.localcluster.node.network.reservations import SLICES, Reservations, candidate_ports, port_is_free


@pytest.fixture
def seed() -> str:
    """A new one each time: reservations hold for the whole machine, where these tests may run twice at once."""
    return uuid.uuid4().hex


@pytest.fixture
def reservations():
    made = []

    def new() -> Reservations:
        made.append(Reservations())
        return made[-1]

    yield new
    for each in made:
        each.close()


def test_two_owners_get_two_slices_and_the_wanted_one_if_it_is_free(reservations, seed):
    first, second = reservations(), reservations()
    slice_ = first.take_slice(wanted=None, seed=seed)
    assert slice_ in SLICES
    other = second.take_slice(wanted=slice_, seed=seed)
    assert other != slice_
    first.close()
    assert reservations().take_slice(wanted=slice_, seed="other") == slice_


def test_two_owners_get_two_ports_from_one_seed(reservations, seed):
    first, second = reservations().take_port(seed=seed), reservations().take_port(seed=seed)
    assert first != second


def test_a_port_that_somebody_listens_on_is_not_given_away(reservations, seed):
    port = next(candidate_ports(seed))
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        assert not port_is_free(port)
        assert reservations().take_port(seed=seed) != port
    assert port_is_free(port)


def test_the_kernels_own_range_comes_last():
    ports = list(candidate_ports("x", ephemeral=(20000, 59999)))
    outside = [port for port in ports if not 20000 <= port <= 59999]
    assert ports[: len(outside)] == outside
    assert len(set(ports)) == len(ports)


def test_a_reservation_ends_with_its_process(reservations, seed):
    code = (
        "import sys, time; from kf_spawner.localcluster.node.network.reservations import Reservations\n"
        f"print(Reservations().take('one/{seed}') or time.sleep(60))\n"
        f"c = Reservations(); print(c.take('two/{seed}'), flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert [process.stdout.readline().strip() for _ in range(2)] == ["True", "True"]
        assert not reservations().take(f"two/{seed}")
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    assert reservations().take(f"two/{seed}")
