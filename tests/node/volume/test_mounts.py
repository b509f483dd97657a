"""Where a container sees its volumes, and that a subPath stays in its volume."""

import pytest

from kf_spawner.localcluster.node.volume.mounts import Mount, MountError, container_mounts, inside

POD = {
    "metadata": {"name": "job-worker-0", "namespace": "kf-ada", "uid": "u", "labels": {"team": "red"}},
    "spec": {
        "nodeName": "n",
        "volumes": [
            {"name": "home", "persistentVolumeClaim": {"claimName": "c"}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "d"}},
        ],
    },
}


def container(**mount) -> dict:
    return {"name": "main", "volumeMounts": [{"name": "home", "mountPath": "/home/jovyan", **mount}]}


def test_mounts_name_their_directories(tmp_path):
    volumes = {"home": tmp_path / "home", "data": tmp_path / "data"}
    for path in volumes.values():
        path.mkdir()
    both = container()
    both["volumeMounts"].append({"name": "data", "mountPath": "data/"})
    assert container_mounts(POD, both, volumes) == [
        Mount("/home/jovyan", volumes["home"]),
        Mount("/data", volumes["data"]),
    ]


def test_a_sub_path_is_made_and_may_be_a_file(tmp_path):
    (tmp_path / "file").touch()
    assert container_mounts(POD, container(subPath="a/b"), {"home": tmp_path})[0].host_path == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()
    assert inside(tmp_path, "file") == tmp_path / "file"


@pytest.mark.parametrize("below", ["../x", "a/../../x", "..", "/etc", "out/x", "out"])
def test_a_sub_path_cannot_leave_its_volume(tmp_path, below):
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "out").symlink_to(tmp_path)
    with pytest.raises(MountError):
        inside(volume, below)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["volume"]


def test_a_dangling_link_is_no_sub_path(tmp_path):
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    with pytest.raises(MountError, match="link to nothing"):
        inside(tmp_path, "nowhere")


def test_a_link_within_the_volume_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    inside(tmp_path, "link/x")
    assert (tmp_path / "real" / "x").is_dir()


def test_a_sub_path_expression_knows_the_containers_plain_variables(tmp_path):
    wanted = container(subPathExpr="$(TEAM)/$(POD)-$$x")
    wanted["env"] = [
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "TEAM", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['team']"}}},
    ]
    mount = container_mounts(POD, wanted, {"home": tmp_path})[0]
    assert mount.host_path == tmp_path / "red" / "job-worker-0-$x"


def test_an_unknown_variable_in_a_sub_path_expression_is_an_error(tmp_path):
    with pytest.raises(MountError, match="subPathExpr"):
        container_mounts(POD, container(subPathExpr="$(NOBODY)"), {"home": tmp_path})
    assert list(tmp_path.iterdir()) == []


def test_a_mount_of_no_volume_is_an_error(tmp_path):
    with pytest.raises(MountError, match='no volume "home"'):
        container_mounts(POD, container(), {})
