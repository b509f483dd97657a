"""Deployment variables: what a value means, and what is said of one that means nothing."""

import pytest

from kf_spawner.spawner.catalogue import CatalogueError, read_folder
from kf_spawner.variables import (
    BadVariable,
    address,
    choice,
    flag,
    folder,
    folder_of_images,
    names,
    optional,
    port,
)


@pytest.mark.parametrize(("value", "wanted"), [("a", "a"), (" a ", "a"), ("null", ""), ("", "")])
def test_null_says_nothing(monkeypatch, value, wanted):
    monkeypatch.setenv("V", value)
    assert optional("V", default="else") == wanted


def test_a_list(monkeypatch):
    monkeypatch.setenv("V", "a, b,,")
    assert names("V", default="c") == {"a", "b"}
    monkeypatch.delenv("V")
    assert names("V", default="c") == {"c"}


def test_a_flag(monkeypatch):
    monkeypatch.setenv("V", "False")
    assert flag("V", default=True) is False
    monkeypatch.setenv("V", "")
    assert flag("V", default=True) is True
    monkeypatch.setenv("V", "perhaps")
    with pytest.raises(BadVariable, match="V=perhaps: give true or false"):
        flag("V", default=True)


def test_a_choice(monkeypatch):
    monkeypatch.setenv("V", "two")
    assert choice("V", {"one": 1, "two": 2}, default="one") == 2
    monkeypatch.setenv("V", "three")
    with pytest.raises(BadVariable, match="V=three: give one of one, two"):
        choice("V", {"one": 1, "two": 2}, default="one")


def test_a_folder_of_images_that_is_not_there(monkeypatch):
    monkeypatch.setenv("KF_IMAGES_DIR", "/nowhere")
    with pytest.raises(CatalogueError, match="set KF_IMAGES_DIR"):
        read_folder(folder_of_images("KF_IMAGES_DIR"), registry="", repository="r", tag="1")


def test_an_address(monkeypatch):
    monkeypatch.setenv("V", "https://hub.example.com/base/")
    assert address("V", default="http://a") == "https://hub.example.com/base"
    monkeypatch.setenv("V", "")
    assert address("V", default="http://[::1]:8000") == "http://[::1]:8000"


@pytest.mark.parametrize(
    "value", ["hub.example.com", "ftp://a", "http://", "http://a:x", "http://a:99999", "http://[a"]
)
def test_an_address_that_is_none(monkeypatch, value):
    monkeypatch.setenv("V", value)
    with pytest.raises(BadVariable, match=r"^V=.*: give an address such as"):
        address("V", default="http://a")


def test_a_port(monkeypatch):
    monkeypatch.setenv("V", "8082")
    assert port("V", default=8081) == 8082
    monkeypatch.setenv("V", "")
    assert port("V", default=8081) == 8081


@pytest.mark.parametrize("value", ["abc", "0", "65536", "-1", "8081.0", "9" * 5000, "²"])
def test_a_port_that_is_none(monkeypatch, value):
    monkeypatch.setenv("V", value)
    with pytest.raises(BadVariable, match="give a port, a whole number from 1 to 65535"):
        port("V", default=8081)


def test_a_folder_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("V", str(tmp_path))
    assert folder("V", default=".") == tmp_path
    monkeypatch.setenv("V", str(tmp_path / "none"))
    with pytest.raises(BadVariable, match="none is not a folder: create it"):
        folder("V", default=".")
