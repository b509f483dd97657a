"""Ports: free, kept over restarts, apart between homes."""

import json
import socket

import pytest

from kf_spawner.localcluster.controlplane import ports
from kf_spawner.localcluster.controlplane.ports import PortError, allocate, hold, is_free

NAMES = ("a", "b", "c")


def test_a_port_is_kept_and_a_new_name_gets_another(tmp_path):
    first = allocate(tmp_path, NAMES)
    assert len(set(first.values())) == 3
    assert all(is_free(port) for port in first.values())
    assert allocate(tmp_path, (*NAMES, "d")) == {**first, "d": allocate(tmp_path, ("d",))["d"]}
    assert allocate(tmp_path, ("b",)) == {"b": first["b"]}


def test_a_port_that_somebody_took_is_replaced_only_when_asked(tmp_path):
    first = allocate(tmp_path, NAMES)
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", first["a"]))
        thief.listen()
        assert allocate(tmp_path, NAMES) == first
        second = allocate(tmp_path, NAMES, replace_busy=True)
    assert second["a"] != first["a"]
    assert (second["b"], second["c"]) == (first["b"], first["c"])
    assert allocate(tmp_path, NAMES) == second


def test_a_port_that_is_held_is_nobody_elses_until_its_server_listens(tmp_path):
    port = allocate(tmp_path, NAMES)["a"]
    with hold([port]):
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", port))
        with socket.create_server(("127.0.0.1", port)), hold([port]):
            socket.create_connection(("127.0.0.1", port)).close()
            assert not is_free(port)
        assert is_free(port), "its server may come back"


def test_a_new_port_is_one_that_nobody_holds(tmp_path, monkeypatch):
    kept = allocate(tmp_path, NAMES)["a"]
    numbers = iter([kept, kept + 1])
    monkeypatch.setattr(ports.random, "randint", lambda _first, _last: next(numbers))
    with hold([kept]):
        assert allocate(tmp_path / "other", ["a"]) == {"a": kept + 1}


def test_a_damaged_file_says_what_to_do(tmp_path):
    allocate(tmp_path, NAMES)
    (tmp_path / "run" / "ports.json").write_text("{")
    with pytest.raises(PortError, match="remove it"):
        allocate(tmp_path, NAMES)
    (tmp_path / "run" / "ports.json").write_text(json.dumps(["a"]))
    with pytest.raises(PortError, match="remove it"):
        allocate(tmp_path, NAMES)
