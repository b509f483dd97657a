"""Ports: free, kept over restarts, apart between homes."""

import json
import socket

import pytest

from kf_spawner.localcluster.controlplane.ports import PortError, allocate, is_free

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


def test_a_damaged_file_says_what_to_do(tmp_path):
    allocate(tmp_path, NAMES)
    (tmp_path / "run" / "ports.json").write_text("{")
    with pytest.raises(PortError, match="remove it"):
        allocate(tmp_path, NAMES)
    (tmp_path / "run" / "ports.json").write_text(json.dumps(["a"]))
    with pytest.raises(PortError, match="remove it"):
        allocate(tmp_path, NAMES)
