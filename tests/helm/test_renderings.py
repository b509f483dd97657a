"""Renderings of the chart for many combinations of values, each checked by a real API server with a dry run.

The pods of each fit the Pod Security level `restricted`, as a namespace that enforces it says itself.
"""

import json

import pytest

from tests.fixtures.helm import only

GATEWAY_API = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "httproutes.gateway.networking.k8s.io",
        "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/1"},
    },
    "spec": {
        "group": "gateway.networking.k8s.io",
        "scope": "Namespaced",
        "names": {"kind": "HTTPRoute", "plural": "httproutes"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            }
        ],
    },
}
"""Stands in for the Gateway API's own definitions, which are a download: it takes any HTTPRoute."""

COMBINATIONS: dict[str, dict] = {
    "no values": {},
    "load balancer with a certificate": {
        "proxy": {"service": {"type": "LoadBalancer"}, "https": {"enabled": True, "secret": {"name": "tls"}}}
    },
    "https alone": {
        "proxy": {"service": {"disableHttpPort": True}, "https": {"enabled": True, "secret": {"name": "tls"}}}
    },
    "node ports": {"proxy": {"service": {"type": "NodePort", "nodePorts": {"http": 30081}}}},
    "ingress for all hosts": {"ingress": {"enabled": True}},
    "ingress with tls": {
        "ingress": {"enabled": True, "hosts": ["a.example.com", "b.example.com"], "tls": [{"secretName": "t"}]}
    },
    "gateway": {"httpRoute": {"enabled": True, "hostnames": ["hub.example.com"], "gateway": {"name": "outside"}}},
    "domains for users": {
        "hub": {"subdomains": {"enabled": True}},
        "ingress": {"enabled": True, "hosts": ["hub.example.com"], "tls": [{"secretName": "t"}]},
    },
    "postgres by url": {"hub": {"db": {"type": "postgres", "url": "postgresql+psycopg2://u:p@db/hub"}}},
    "postgres by secret": {"hub": {"db": {"type": "postgres", "existingSecret": {"name": "db"}}}},
    "nothing kept": {
        "hub": {"db": {"type": "sqlite-memory"}},
        "crds": {"keep": False},
        "singleuser": {"storage": {"type": "none"}},
    },
    "claim of one's own": {
        "hub": {"db": {"pvc": {"storageClassName": "", "selector": {"matchLabels": {"a": "b"}}, "subPath": "hub"}}}
    },
    "secret of one's own": {"hub": {"existingSecret": "mine"}},
    "accounts and roles of one's own": {
        "rbac": {"create": False},
        "hub": {"serviceAccount": {"create": False, "name": "hub-of-mine"}},
        "operator": {"serviceAccount": {"create": False, "name": "operator-of-mine"}},
    },
    "no dashboard, no definition": {"dashboard": {"enabled": False}, "crds": {"install": False}},
    "no policies": {part: {"networkPolicy": {"enabled": False}} for part in ("hub", "operator", "dashboard")},
    "egress": {
        "hub": {"networkPolicy": {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}},
        "operator": {"networkPolicy": {"ingress": [{"from": [{"podSelector": {}}]}]}},
    },
    "images from elsewhere": {
        "images": {"registry": "registry.example.com", "repository": "ml", "tag": "9"},
        "operator": {"image": {"name": "other/operator", "tag": "8"}},
        "imagePullSecrets": ["pull"],
    },
    "priorities and node pools": {
        "scheduling": {
            "podPriority": {"enabled": True, "globalDefault": True},
            "corePods": {"nodeAffinity": {"matchNodePurpose": "require"}},
            "userPods": {"nodeAffinity": {"matchNodePurpose": "require"}},
        }
    },
    "no purposes of nodes": {
        "scheduling": {
            "corePods": {"nodeAffinity": {"matchNodePurpose": "ignore"}, "tolerations": []},
            "userPods": {"nodeAffinity": {"matchNodePurpose": "ignore"}, "tolerations": []},
        }
    },
    "images pulled beforehand": {
        "prePuller": {"continuous": {"enabled": True}, "extraImages": {"side": {"name": "busybox", "tag": "1"}}},
        "singleuser": {"image": {"name": "own", "label": "own"}},
        "scheduling": {"userPods": {"nodeAffinity": {"matchNodePurpose": "require"}}},
    },
    "many of each": {
        "operator": {"replicas": 3, "gangScheduler": "volcano", "clusterDomain": "cluster.local"},
        "proxy": {"traefik": {"replicas": 3, "pdb": {"enabled": True, "maxUnavailable": "50%"}}},
    },
    "more containers": {
        "hub": {
            "initContainers": [{"name": "first", "image": "busybox:1", "securityContext": "RESTRICTED"}],
            "extraContainers": [{"name": "beside", "image": "busybox:1", "securityContext": "RESTRICTED"}],
            "extraPodSpec": {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["db"]}]},
            "startupProbe": {"enabled": False},
        }
    },
    "debug": {"debug": {"enabled": True}},
}
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}


def values_of(combination: str) -> dict:
    return json.loads(json.dumps(COMBINATIONS[combination]).replace('"RESTRICTED"', json.dumps(RESTRICTED)))


@pytest.fixture(scope="module")
def namespaces(plane):
    """`hubs` for dry runs, and `restricted`, which takes only pods of that level."""
    apply(plane, [GATEWAY_API])
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    made = [{"name": "hubs"}, {"name": "restricted", "labels": label}]
    apply(plane, [{"apiVersion": "v1", "kind": "Namespace", "metadata": each} for each in made])
    accounts = ["hub", "operator", "dashboard", "door", "hub-of-mine", "operator-of-mine", "kf-spawner-doctor"]
    apply(plane, [{"apiVersion": "v1", "kind": "ServiceAccount", **at(name)} for name in accounts])
    for awaited in (
        ("--for=condition=Established", f"crd/{GATEWAY_API['metadata']['name']}"),
        ("--for=create", "serviceaccount/default", "--namespace=restricted"),
    ):
        done = plane.kubectl("wait", *awaited)
        assert done.returncode == 0, done.stderr


def at(name: str) -> dict:
    return {"metadata": {"name": name, "namespace": "restricted"}}


def try_out(plane, objects: list[dict]) -> None:
    """A dry run of the objects, and of the pods that come of them."""
    apply(plane, [obj for obj in objects if obj["kind"] != "Pod"], dry_run="hubs")
    apply(plane, pods(objects), dry_run="restricted")


def apply(plane, objects: list[dict], *, dry_run: str = "") -> None:
    """`dry_run` names the namespace of one."""
    file = plane.home / "objects.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    how = ["--dry-run=server", "--validate=strict", f"--namespace={dry_run}"] if dry_run else []
    done = plane.kubectl("apply", "-f", str(file), *how)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr


def pods(objects: list[dict]) -> list[dict]:
    """The pods that the objects would make, in the restricted namespace."""
    made = []
    for number, obj in enumerate(objects):
        spec = obj["spec"] if obj["kind"] == "Pod" else obj.get("spec", {}).get("template", {}).get("spec")
        if spec:
            # Priority classes exist only once they are made.
            spec = {key: value for key, value in spec.items() if key != "priorityClassName"}
            made.append({"apiVersion": "v1", "kind": "Pod", **at(f"pod-{number}"), "spec": spec})
    return made


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_the_api_server_takes_it(renderer, plane, namespaces, combination):
    objects = renderer.render(values_of(combination))
    assert len(pods(objects)) >= 5
    try_out(plane, objects)


def test_a_z2jh_file_is_taken(renderer, plane, namespaces, z2jh):
    try_out(plane, renderer.render(z2jh))


def test_every_reference_leads_somewhere(renderer):
    """Services find pods by labels and named ports, volumes and variables find what the chart makes."""
    objects = renderer.render()
    deployments = [obj for obj in objects if obj["kind"] == "Deployment"]
    for service in (obj for obj in objects if obj["kind"] == "Service"):
        wanted = service["spec"]["selector"].items()
        found = [each for each in deployments if wanted <= each["spec"]["template"]["metadata"]["labels"].items()]
        (target,) = found
        ports = {port["containerPort"] for port in target["spec"]["template"]["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    secrets = {
        obj["metadata"]["name"]: obj.get("data") or obj["stringData"] for obj in objects if obj["kind"] == "Secret"
    }
    for deployment in deployments:
        spec = deployment["spec"]["template"]["spec"]
        for volume in spec["volumes"]:
            if "secret" in volume:
                keys = {item["key"] for item in volume["secret"].get("items", [])}
                assert keys <= secrets[volume["secret"]["secretName"]].keys()
            if "persistentVolumeClaim" in volume:
                only(objects, "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
        for entry in spec["containers"][0]["env"]:
            if "valueFrom" in entry:
                reference = entry["valueFrom"]["secretKeyRef"]
                assert reference["key"] in secrets[reference["name"]]
