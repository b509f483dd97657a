"""Deployment variables: what a value means, and what is said of one that means nothing."""

import pytest

from kf_spawner.hub.variables import BadVariable, choice, flag, folder_of_images, names, optional
from kf_spawner.spawner.catalogue import CatalogueError, read_folder


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
