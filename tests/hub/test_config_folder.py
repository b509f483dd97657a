"""What a folder of configuration changes, in which order, and which error names a file that cannot be used."""

import json

import pytest
from traitlets.config import Config

from kf_spawner.hub.config_folder import BadConfiguration, apply_folder


@pytest.fixture
def config():
    return Config({"KubeSpawner": {"uid": 1000, "images": [{"name": "first"}]}})


def write(folder, **files):
    for name, content in files.items():
        stem, _, ending = name.rpartition("_")
        (folder / f"{stem}.{ending}").write_text(content if isinstance(content, str) else json.dumps(content))


def test_values_are_set_lists_grow_and_programs_come_last(config, tmp_path):
    write(
        tmp_path,
        settings_json={"KubeSpawner": {"uid": 2000}, "Authenticator": {"allowed_users": ["a"]}},
        additions_json={"KubeSpawner": {"images": [{"name": "second"}]}, "JupyterHub": {"services": [{"name": "s"}]}},
        b_py="get_config().KubeSpawner.uid += 1",
        a_py="c.KubeSpawner.uid *= 2",
    )
    apply_folder(config, str(tmp_path))
    assert config.KubeSpawner.uid == 4001
    assert config.KubeSpawner.images == [{"name": "first"}, {"name": "second"}]
    assert config.JupyterHub.services == [{"name": "s"}]
    assert config.Authenticator.allowed_users == ["a"]


def test_an_empty_folder_and_no_folder_change_nothing(config, tmp_path):
    before = config.copy()
    apply_folder(config, str(tmp_path))
    apply_folder(config, "")
    assert config == before


@pytest.mark.parametrize(("text", "said"), [("{", "settings.json is not JSON"), ("[1]", "give an object of objects")])
def test_a_file_that_cannot_be_used_is_named(config, tmp_path, text, said):
    write(tmp_path, settings_json=text)
    with pytest.raises(BadConfiguration, match=said):
        apply_folder(config, str(tmp_path))


def test_a_folder_that_is_not_there(config, tmp_path):
    with pytest.raises(BadConfiguration, match="is not a folder"):
        apply_folder(config, str(tmp_path / "nowhere"))
