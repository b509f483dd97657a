"""The chart's values: what they turn into, what is refused and how, and that all of it is documented."""

import base64
import json
import re
import runpy

import pytest
import yaml

from kf_spawner import __version__
from kf_spawner.doctor import api
from kf_spawner.spawner.settings import SpawnerSettings
from tests.fixtures.helm import CHART, RELEASE, HelmFailed, container, leaves, only, settings, variables
from tests.k8s.quantity_table import TABLE

ROOT = CHART.parents[1]


def test_what_is_made_of_something_else_is_up_to_date():
    """The schema, the page of the values, and the copies of roles and definition."""
    outputs = runpy.run_path(str(ROOT / "helm" / "generate.py"))["outputs"]()
    stale = [str(path) for path, text in outputs.items() if not path.exists() or path.read_text() != text]
    assert stale == [], "run `make chart`"
    assert set((CHART / "files").iterdir()) == {path for path in outputs if path.parent.name == "files"}


def test_the_versions_are_one():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_the_oldest_kubernetes_is_the_doctors():
    oldest = ".".join(map(str, api.OLDEST))
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"] == f">={oldest}.0-0"
    assert f"Kubernetes {oldest} or newer" in (ROOT / "docs" / "helm.md").read_text()


ROW = re.compile(r'\(list "KubeflowSpawner" "(\w+)" \$(user|storage)\.([\w.]+)')


def test_what_a_user_gets_by_default_is_what_the_spawner_has_by_default():
    """A value that is null leaves it to the spawner; its description names the spawner's default."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())["singleuser"]
    page = (ROOT / "docs" / "chart-values.md").read_text()
    roots = {"user": ("singleuser", values), "storage": ("singleuser.storage", values["storage"])}
    compared = set()
    for name, root, path in ROW.findall((CHART / "templates" / "_settings.tpl").read_text()):
        if name not in SpawnerSettings.class_own_traits():
            continue
        default = SpawnerSettings.class_own_traits()[name].default_value
        prefix, value = roots[root]
        for step in path.split("."):
            value = value[step]
        if value is not None:
            assert value == default, path
        elif default:
            (row,) = [line for line in page.splitlines() if line.startswith(f"| `{prefix}.{path}` |")]
            assert str(default) in row
        compared.add(name)
    assert {"default_cpu", "min_cpu", "default_memory", "memory_limit_factor", "max_gpus", "home_size"} <= compared


def test_every_default_is_described():
    page = (ROOT / "docs" / "chart-values.md").read_text()
    parts = ("hub", "proxy.chp", "proxy.traefik", "operator", "dashboard")
    for leaf in leaves(yaml.safe_load((CHART / "values.yaml").read_text())):
        below = [leaf.removeprefix(f"{part}.") for part in parts if leaf.startswith(f"{part}.")]
        names = [leaf, *below]
        # Of a map's free content (resources, tolerations, a quota) the map is described.
        names += [".".join(name.split(".")[:-depth]) for name in names for depth in (1, 2, 3)]
        headed = f"## {leaf}\n" in page
        assert headed or any(name and f"| `{name}` |" in page for name in names), leaf


WRONG = [
    ({"hub": {"db": {"type": "mysql"}}}, "/hub/db/type"),
    ({"hub": {"concurrentSpawnLimit": "many"}}, "/hub/concurrentSpawnLimit"),
    ({"hub": {"cookieSecret": "short"}}, "/hub/cookieSecret"),
    ({"hub": {"publicUrl": "hub.example.com"}}, "/hub/publicUrl"),
    ({"hub": {"resources": {"request": {}}}}, "/hub/resources"),
    ({"operator": {"replicas": 0}}, "/operator/replicas"),
    ({"proxy": {"service": {"type": "External"}}}, "/proxy/service/type"),
    ({"proxy": {"https": {"type": "letsencrypt"}}}, "/proxy/https/type"),
    ({"proxy": {"chp": {"pdb": {"enabled": "yes"}}}}, "/proxy/chp/pdb/enabled"),
    ({"singleuser": {"storage": {"capacity": "ten"}}}, "/singleuser/storage/capacity"),
    ({"singleuser": {"image": {"name": "registry.example.com/own"}}}, "/singleuser/image"),
    ({"singleuser": {"profileList": []}}, "profileList"),
    ({"hub": {"extraFiles": {"x": {"mountPath": "/x"}}}}, "/hub/extraFiles/x"),
    ({"prePuller": {"extraImages": {"x": {"name": "y"}}}}, "/prePuller/extraImages/x"),
    ({"ingress": {"hosts": "hub.example.com"}}, "/ingress/hosts"),
    ({"cull": {"timeout": 0}}, "/cull/timeout"),
]


@pytest.mark.parametrize(("values", "path"), WRONG, ids=[path for _, path in WRONG])
def test_a_wrong_value_is_refused_with_its_path(renderer, values, path):
    with pytest.raises(HelmFailed) as refused:
        renderer.render(values)
    assert path in str(refused.value)


CERTIFICATE = {"https": {"enabled": True, "secret": {"name": "tls"}}}
UNSAFE = [
    ({"hub": {"config": {"JupyterHub": {"authenticator_class": "dummy"}}}}, "hub.config.DummyAuthenticator.password"),
    ({"hub": {"db": {"type": "postgres"}}}, "hub.db.url"),
    ({"proxy": {"https": {"enabled": True}}}, "proxy.https.secret.name"),
    ({"httpRoute": {"enabled": True}}, "httpRoute.gateway.name"),
    ({"proxy": CERTIFICATE, "ingress": {"enabled": True}}, "set proxy.https.type to offload"),
    ({"proxy": CERTIFICATE, "httpRoute": {"enabled": True, "gateway": {"name": "g"}}}, "proxy.https.type: secret"),
]


@pytest.mark.parametrize(("values", "said"), UNSAFE, ids=[said for _, said in UNSAFE])
def test_values_that_need_another_one_are_refused_by_its_name(renderer, values, said):
    with pytest.raises(HelmFailed, match=said):
        renderer.render(values)


def test_lint(renderer):
    assert "0 chart(s) failed" in renderer.run("lint", str(CHART), "--strict")


def test_a_z2jh_file_means_what_it_says(renderer, z2jh):
    assert len(leaves(z2jh)) >= 40
    objects = renderer.render(z2jh)
    made = settings(objects)
    assert made["Authenticator"]["allowed_users"] == ["admin", "ada", "grace"]
    assert made["JupyterHub"]["named_server_limit_per_user"] == 3
    assert made["JupyterHub"]["authenticate_prometheus"] is False
    spawner = made["KubeflowSpawner"]
    assert spawner["http_timeout"] == 120
    assert (spawner["default_cpu"], spawner["default_memory"]) == ("0.25", "2G")
    assert spawner["volume_mounts"] == [{"name": "shm", "mountPath": "/dev/shm"}]
    assert spawner["extra_pod_config"] == {"terminationGracePeriodSeconds": 5, "enableServiceLinks": False}
    assert [each["weight"] for each in spawner["node_affinity_preferred"]] == [1, 100]
    assert {"key": "users", "operator": "Exists"} in spawner["tolerations"]
    assert spawner["priority_class_name"] == "kf-default-priority"
    config = only(objects, "Secret", "hub-config")["stringData"]
    additions = json.loads(config["additions.json"])
    (image,) = additions["KubeflowSpawner"]["images"]
    assert (image["name"], image["reference"]) == ("teaching", "registry.example.com/teaching:2026.9")
    assert additions["JupyterHub"]["load_roles"][0]["name"] == "teachers"
    assert "Maintenance" in config["20-title.py"]
    env = variables(objects, "hub")
    assert (env["TZ"], env["DEFAULT_IMAGE"]) == ("Europe/Vienna", "teaching")
    assert env["SECRET_THING"]["secretKeyRef"]["name"] == "things"
    assert env["KF_DOOR_URL"] == "https://hub.example.com"
    assert env["KF_DOOR_CONNECT_URL"] == "http://door.hubs"
    pod = only(objects, "Deployment", "hub")["spec"]["template"]["spec"]
    terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms[0]["matchExpressions"][0]["key"] == "hub.jupyter.org/node-purpose"
    assert pod["imagePullSecrets"] == [{"name": "registry-pull"}]
    public = only(objects, "Service", "proxy-public")["spec"]
    assert (public["type"], [port["port"] for port in public["ports"]]) == ("LoadBalancer", [80, 443])
    assert only(objects, "PodDisruptionBudget", "proxy")["spec"]["maxUnavailable"] == 1


def test_the_database_is_upgraded_as_the_value_says(renderer):
    """Without one the hub decides: tests/hub/test_database.py."""
    assert "upgrade_db" not in settings(renderer.render())["JupyterHub"]
    for said in (True, False):
        assert settings(renderer.render({"hub": {"db": {"upgrade": said}}}))["JupyterHub"]["upgrade_db"] is said


def test_the_image_puller_goes_where_servers_go(renderer):
    """To the same nodes, and with every Secret that one of its images may need."""
    term = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
    values = {
        "imagePullSecrets": ["all"],
        "hub": {"image": {"pullSecrets": ["platform"]}},
        "singleuser": {
            "image": {"name": "own", "label": "own", "pullSecrets": ["all", "own"]},
            "nodeSelector": {"pool": "users"},
            "extraNodeAffinity": {"required": [term]},
        },
        "scheduling": {"userPods": {"nodeAffinity": {"matchNodePurpose": "require"}}},
        "prePuller": {"continuous": {"enabled": True}},
    }
    objects = renderer.render(values)
    puller = only(objects, "DaemonSet", "continuous-image-puller")["spec"]["template"]["spec"]
    servers = settings(objects)["KubeflowSpawner"]
    assert puller["imagePullSecrets"] == [{"name": "all"}, {"name": "platform"}, {"name": "own"}]
    assert puller["nodeSelector"] == servers["node_selector"]
    assert puller["tolerations"] == servers["tolerations"]
    required = puller["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert required["nodeSelectorTerms"] == servers["node_affinity_required"]
    # Terms are alternatives, so each has to say both.
    purpose = {"key": "hub.jupyter.org/node-purpose", "operator": "In", "values": ["user"]}
    assert servers["node_affinity_required"] == [{"matchExpressions": [*term["matchExpressions"], purpose]}]
    default = renderer.render({"prePuller": {"continuous": {"enabled": True}}})
    assert "affinity" not in only(default, "DaemonSet", "continuous-image-puller")["spec"]["template"]["spec"]


def test_files_of_the_hub(renderer):
    content = {"a": ["b"]}
    files = {
        "sheet": {"mountPath": "/srv/sheet.yaml", "data": content},
        "table.json": {"mountPath": "/srv/table.json", "data": content, "mode": 0o440},
        "text": {"mountPath": "/srv/text", "stringData": ""},
        "picture": {"mountPath": "/srv/picture.png", "binaryData": base64.b64encode(b"\x89PNG").decode()},
    }
    objects = renderer.render({"hub": {"extraFiles": files}})
    found = {name: base64.b64decode(data) for name, data in only(objects, "Secret", "hub-files")["data"].items()}
    assert yaml.safe_load(found.pop("sheet")) == json.loads(found.pop("table.json")) == content
    assert found == {"text": b"", "picture": b"\x89PNG"}
    pod = only(objects, "Deployment", "hub")["spec"]["template"]
    mounts = {m["subPath"]: m["mountPath"] for m in pod["spec"]["containers"][0]["volumeMounts"] if "subPath" in m}
    assert mounts == {name: file["mountPath"] for name, file in files.items()}
    (volume,) = (volume for volume in pod["spec"]["volumes"] if volume["name"] == "files")
    assert {item["key"]: item.get("mode") for item in volume["secret"]["items"]} == {
        name: file.get("mode") for name, file in files.items()
    }
    changed = renderer.render({"hub": {"extraFiles": {**files, "text": {**files["text"], "stringData": "new"}}}})
    again = only(changed, "Deployment", "hub")["spec"]["template"]
    assert again["metadata"]["annotations"] != pod["metadata"]["annotations"], "the hub does not restart"


def test_without_values_nothing_lets_a_stranger_in(renderer):
    objects = renderer.render()
    assert {obj["spec"]["type"] for obj in objects if obj["kind"] == "Service"} == {"ClusterIP"}
    assert not [obj for obj in objects if obj["kind"] in ("Ingress", "HTTPRoute")]
    env = variables(objects, "hub")
    assert env["KF_BIND_HOST"] == "0.0.0.0", "on loopback the hub would take an empty password"
    assert env["KF_PASSWORD_FILE"] == "/etc/kf-spawner/secret/password"
    assert "KF_AUTHENTICATOR" not in env
    secret = only(objects, "Secret", "hub")["data"]
    assert secret.keys() == {"password", "cookie-secret", "proxy-token", "door-token", "dashboard-token"}
    assert len(set(secret.values())) == 5
    again = only(renderer.render(), "Secret", "hub")["data"]
    assert again["password"] != secret["password"]


def test_no_secret_is_in_a_manifest_but_the_secrets(renderer):
    words = {"password": "pass-word", "cookieSecret": "ab" * 32}
    objects = renderer.render(
        {
            "hub": {**words, "db": {"type": "postgres", "url": "postgresql://u:db-word@h/n"}},
            "proxy": {"secretToken": "proxy-word"},
        }
    )
    others = json.dumps([obj for obj in objects if obj["kind"] != "Secret"])
    for word in ("pass-word", "ab" * 32, "db-word", "proxy-word"):
        assert word not in others


def test_the_door_has_an_image_of_its_own(renderer):
    from_elsewhere = {"images": {"registry": "registry.example.com", "repository": "ml", "tag": "9"}}

    def images(values: dict) -> dict[str, str]:
        objects = renderer.render(values)
        parts = [obj["metadata"]["name"] for obj in objects if obj["kind"] == "Deployment"]
        return {part: container(objects, part)["image"] for part in parts}

    others = dict.fromkeys(("hub", "proxy", "operator", "dashboard"), f"kf-spawner/hub:{__version__}")
    assert images({}) == {**others, "door": f"kf-spawner/door:{__version__}"}
    others = dict.fromkeys(others, "registry.example.com/ml/hub:9")
    assert images(from_elsewhere) == {**others, "door": "registry.example.com/ml/door:9"}
    one = {"proxy": {"traefik": {"image": {"name": "other/door", "tag": "8"}}}}
    assert images({**from_elsewhere, **one}) == {**others, "door": "other/door:8"}


def test_what_the_door_is_told_is_what_its_program_takes(renderer):
    from kf_spawner.door.app import DoorApp

    values = {"proxy": {**CERTIFICATE, "traefik": {"trustedProxies": ["10.0.0.0/8"]}}}
    objects = renderer.render(values)
    door = container(objects, "door")
    assert door["args"][:3] == ["python", "-m", "kf_spawner.door"]
    app = DoorApp()
    app.parse_command_line(door["args"][3:])
    made = app.static("http://127.0.0.1:1/dynamic", {})
    ports = {int(entry["address"].rpartition(":")[2]) for entry in made["entryPoints"].values()}
    assert ports == {port["containerPort"] for port in door["ports"]}
    assert made["entryPoints"]["door"]["forwardedHeaders"]["trustedIPs"] == ["10.0.0.0/8"]
    lasts = made["entryPoints"]["door"]["transport"]["lifeCycle"]
    assert lasts == {"requestAcceptGraceTimeout": "5s", "graceTimeOut": "65s"}
    spec = only(objects, "Deployment", "door")["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] > 5 + 65
    assert {entry["address"].rpartition(":")[0] for entry in made["entryPoints"].values()} == {"0.0.0.0"}
    assert app.certificate.certificate.endswith("/tls.crt")
    assert (app.proxy_url, app.authorize_url) == ("http://proxy-http:8000", "http://hub:8081/hub/kf/authorize")
    key = {"secretKeyRef": {"name": "hub", "key": "door-token"}}
    assert {"name": "KF_DOOR_TOKEN", "valueFrom": key} in door["env"]
    key["secretKeyRef"]["optional"] = True  # without it the proxy runs, and says so
    assert {"name": "KF_DOOR_TOKEN", "valueFrom": key} in container(objects, "proxy")["env"]
    assert spec["serviceAccountName"] == "door"
    assert spec["automountServiceAccountToken"] is True


def test_how_long_the_door_may_take_to_end_is_said_once(renderer):
    """A field that is there twice is refused by some, and the last one holds for others."""
    values = {"proxy": {"traefik": {"extraPodSpec": {"terminationGracePeriodSeconds": 9}}}}
    door = "--show-only=templates/door/deployment.yaml"
    written = renderer.run("template", RELEASE, str(CHART), door, values=values)
    assert re.findall("terminationGracePeriodSeconds: .*", written) == ["terminationGracePeriodSeconds: 9"]


def test_the_settings_are_traits_that_exist(renderer, z2jh):
    """A trait's name that is wrong in the template would be ignored, with a line in the hub's log."""
    from jupyterhub.app import JupyterHub
    from jupyterhub.auth import Authenticator

    from kf_spawner.spawner.spawner import KubeflowSpawner

    classes = {each.__name__: each for each in (JupyterHub, Authenticator, KubeflowSpawner)}
    full = {**z2jh, "singleuser": {**z2jh["singleuser"], **EVERYTHING}}
    made = settings(renderer.render(full))
    assert made.pop("Application") == {"log_level": "DEBUG"}
    for name, traits in made.items():
        assert traits.keys() <= set(classes[name].class_trait_names(config=True)), name
    rows = (CHART / "templates" / "_settings.tpl").read_text().count('(list "KubeflowSpawner"')
    assert len(made["KubeflowSpawner"]) >= rows, "a row of the template is tried by no value here"


def test_what_a_user_may_have_in_all(renderer):
    """The spawner's defaults, one by one another amount or none, or no limit at all."""
    spawner = SpawnerSettings()
    made = settings(renderer.render({}))["KubeflowSpawner"]
    assert (made["quota"], made["default_requests"]) == (spawner.quota, spawner.default_requests)
    hard = {"pods": 500, "requests.cpu": None, "requests.nvidia.com/gpu": 4}
    values = {"singleuser": {"quota": {"hard": hard}, "defaultRequests": {"cpu": 0.5}}}
    made = settings(renderer.render(values))["KubeflowSpawner"]
    expected = {**spawner.quota, "pods": "500", "requests.nvidia.com/gpu": "4"}
    del expected["requests.cpu"]
    assert made["quota"] == expected
    assert made["default_requests"] == {**spawner.default_requests, "cpu": "0.5"}
    off = settings(renderer.render({"singleuser": {"quota": {"enabled": False}}}))
    assert off["KubeflowSpawner"]["quota"] == {}


def test_jobs_claims_may_name_the_class_of_homes(renderer):
    objects = renderer.render({"singleuser": {"storage": {"dynamic": {"storageClass": "fast"}}}})
    assert "--OperatorApp.claim_classes=fast" in container(objects, "operator")["args"]


TERM = {"labelSelector": {"matchLabels": {"a": "b"}}, "topologyKey": "kubernetes.io/hostname"}
EVERYTHING = {
    "cmd": ["jupyterhub-singleuser"],
    "extraContainers": [{"name": "side", "image": "side:1"}],
    "cpu": {"guarantee": 0.25, "min": "100m", "max": 4},
    "memory": {"guarantee": "2G", "min": "1G", "max": "8G", "limitFactor": 0},
    "maxGpus": 0,
    "storage": {
        "maxCapacity": "20Gi",
        "dynamic": {"storageClass": "fast"},
        "extraLabels": {"a": "b"},
        "extraVolumes": [{"name": "shm", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
    },
    "extraNodeAffinity": {
        "required": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}],
        "preferred": [{"weight": 1, "preference": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}],
    },
    "extraPodAffinity": {"required": [TERM], "preferred": [{"weight": 1, "podAffinityTerm": TERM}]},
    "extraPodAntiAffinity": {"required": [TERM], "preferred": [{"weight": 1, "podAffinityTerm": TERM}]},
}


def test_the_schema_takes_the_quantities_that_the_api_server_takes(renderer):
    """As texts; a number is one as well."""
    amounts = {f"x{index}": text for index, (text, _) in enumerate(TABLE)}
    valid = {name: text for (name, text), (_, number) in zip(amounts.items(), TABLE, strict=True) if number}
    renderer.render({"hub": {"resources": {"requests": {**valid, "one": 1, "half": 0.5}}}})
    with pytest.raises(HelmFailed) as refused:
        renderer.render({"hub": {"resources": {"requests": amounts}}})
    named = set(re.findall(r"/hub/resources/requests/(x\d+)'", str(refused.value)))
    assert named == amounts.keys() - valid.keys()
