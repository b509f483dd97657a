"""The test cluster is a cluster: addresses, names, services, logs, exec, claims, and what refuses.

These need images and classes that `make cluster` brings; on another cluster they are skipped.
"""

import pytest

from kf_spawner.kube import Client, Forbidden
from kf_spawner.kube.resources import CLAIMS, EVENTS, NAMESPACES, PODS, SERVICES, STORAGECLASSES
from tests.cluster.layout import BUSYBOX_IMAGE, POD_NETWORK
from tests.cluster.provisioner import DIRECTORY, REFUSAL

from .conftest import Kubectl, until


@pytest.fixture(autouse=True)
async def ours(client: Client) -> None:
    classes = (await client.list(STORAGECLASSES))["items"]
    if not any(each["provisioner"] == DIRECTORY for each in classes):
        pytest.skip("this cluster was not made by 'make cluster'")


def pod(name: str, namespace: str, command: str, **spec: object) -> dict:
    container = {
        "name": "main",
        "image": BUSYBOX_IMAGE,
        "args": [command],
        "volumeMounts": [{"name": each["name"], "mountPath": "/data"} for each in spec.get("volumes", [])],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"containers": [container], "restartPolicy": "Never", "terminationGracePeriodSeconds": 1, **spec},
    }


def claim(name: str, namespace: str, **spec: object) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec},
    }


async def phase(client: Client, name: str, namespace: str, *phases: str) -> dict:
    """The pod once it is in one of `phases`."""
    return await until(
        lambda: client.get(PODS, name, namespace), lambda found: found["status"].get("phase") in phases
    )


async def output(client: Client, name: str, namespace: str) -> str:
    """What the pod printed, once it has ended well."""
    ended = await phase(client, name, namespace, "Succeeded", "Failed")
    said = b"".join([line async for line in client.logs(namespace, name)]).decode()
    assert ended["status"]["phase"] == "Succeeded", said
    return said


async def test_a_pod_has_an_address_of_its_own(client: Client, namespace: str):
    await client.create(PODS, pod("one", namespace, "hostname; ip -o -4 address show eth0"))
    said = await output(client, "one", namespace)
    status = (await client.get(PODS, "one", namespace))["status"]
    assert status["podIP"].startswith(POD_NETWORK.rpartition(".0.0/")[0])
    assert status["podIP"] in said
    assert said.startswith("one\n")


async def test_a_service_is_found_by_its_name_and_reached_at_its_address(client: Client, namespace: str):
    serve = "mkdir /www && echo hello >/www/index.html && exec httpd -f -p 8080 -h /www"
    await client.create(PODS, pod("web", namespace, serve))
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    address = (await client.create(SERVICES, service))["spec"]["clusterIP"]
    await phase(client, "web", namespace, "Running")
    fetch = (
        f"nslookup web.{namespace}.svc.cluster.local && until wget -q -O - http://web 2>/dev/null; do sleep 0.1; done"
    )
    await client.create(PODS, pod("caller", namespace, fetch))
    said = await output(client, "caller", namespace)
    assert address in said
    assert said.endswith("hello\n")


async def test_a_pod_reaches_itself_through_its_service(client: Client, namespace: str):
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "self", "namespace": namespace},
        "spec": {"selector": {"app": "self"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    await client.create(SERVICES, service)
    fetch = "mkdir /www && echo me >/www/index.html && httpd -p 8080 -h /www"
    # The bare name is the pod's own, in its /etc/hosts.
    fetch += f" && until wget -q -O - http://self.{namespace} 2>/dev/null; do sleep 0.1; done"
    await client.create(PODS, pod("self", namespace, fetch))
    assert await output(client, "self", namespace) == "me\n"


async def test_a_pod_reaches_the_api_server(client: Client, namespace: str):
    await client.create(PODS, pod("asks", namespace, "nc -w 5 kubernetes.default 443 </dev/null && echo reached"))
    assert await output(client, "asks", namespace) == "reached\n"


async def test_exec(client: Client, kubectl: Kubectl, namespace: str):
    await client.create(PODS, pod("sleeper", namespace, "exec sleep 600"))
    await phase(client, "sleeper", namespace, "Running")
    ended = kubectl("exec", "--namespace", namespace, "sleeper", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (ended.returncode, ended.stdout) == (7, "out\n")
    assert ended.stderr.startswith("err\n")


async def test_a_claim_is_written_by_an_ordinary_user(client: Client, namespace: str):
    await client.create(CLAIMS, claim("home", namespace))
    volumes = [{"name": "home", "persistentVolumeClaim": {"claimName": "home"}}]
    user = {"runAsUser": 1000, "runAsGroup": 100, "fsGroup": 100}
    script = "echo kept >/data/note && stat -c '%U %u %g %a' /data /data/note"
    await client.create(PODS, pod("writer", namespace, script, volumes=volumes, securityContext=user))
    said = (await output(client, "writer", namespace)).splitlines()
    assert [line.split()[1:3] for line in said] == [["0", "100"], ["1000", "100"]]
    await client.create(PODS, pod("reader", namespace, "cat /data/note", volumes=volumes, securityContext=user))
    assert await output(client, "reader", namespace) == "kept\n"


async def test_a_claim_of_the_refusing_class_says_why_it_is_not_bound(client: Client, namespace: str):
    await client.create(CLAIMS, claim("home", namespace, storageClassName="refusing"))
    said = await until(
        lambda: client.list(EVENTS, namespace, field_selector="involvedObject.name=home,reason=ProvisioningFailed"),
        lambda found: bool(found["items"]),
    )
    assert said["items"][0]["message"] == REFUSAL
    assert (await client.get(CLAIMS, "home", namespace))["status"]["phase"] == "Pending"


async def test_the_namespace_quota_allows_one_claim(client: Client):
    await until(lambda: client.get(NAMESPACES, "quota"), lambda found: found["status"]["phase"] == "Active")
    with pytest.raises(Forbidden, match="exceeded quota: little"):
        await client.create(CLAIMS, claim("too-large", "quota", resources={"requests": {"storage": "2Gi"}}))


async def test_an_image_that_is_nowhere(client: Client, namespace: str):
    missing = pod("missing", namespace, "true")
    missing["spec"]["containers"][0]["image"] = "registry.invalid/none:1"
    await client.create(PODS, missing)

    def failed(found: dict) -> bool:
        statuses = found["status"].get("containerStatuses") or [{}]
        reason = statuses[0].get("state", {}).get("waiting", {}).get("reason")
        return reason in ("ErrImagePull", "ImagePullBackOff")

    await until(lambda: client.get(PODS, "missing", namespace), failed)
