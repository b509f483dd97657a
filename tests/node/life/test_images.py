"""Images: present, missing, not to be pulled, badly named."""

import re

import pytest

from tests.node.pods import Pods, container, sh, waits

MISSING = "kf-spawner/nothing:0.1.0"


async def test_an_image_that_is_missing(pods: Pods) -> None:
    pod = await pods.pod({"image": MISSING})
    pod = await pods.until(pod, lambda now: waits(now).get("reason") in ("ErrImagePull", "ImagePullBackOff"))
    pod = await pods.waiting(pod, "ImagePullBackOff")
    assert waits(pod)["message"].startswith(f'Back-off pulling image "{MISSING}": ErrImagePull: ')
    assert pod["status"]["phase"] == "Pending"
    assert container(pod)["imageID"] == ""
    assert (await pods.event(pod, "Pulling"))[2] == f'Pulling image "{MISSING}"'
    assert (await pods.event(pod, "Failed", f'Failed to pull image "{MISSING}": '))[0] == "Warning"
    assert await pods.event(pod, "Failed", "Error: ErrImagePull") == ("Warning", "Failed", "Error: ErrImagePull")
    assert await pods.event(pod, "BackOff") == ("Normal", "BackOff", f'Back-off pulling image "{MISSING}"')
    await pods.event(pod, "Failed", "Error: ImagePullBackOff")


async def test_an_image_that_must_be_pulled_and_cannot(pods: Pods) -> None:
    pod = await pods.pod({"image": MISSING, "imagePullPolicy": "Always"})
    await pods.waiting(pod, "ImagePullBackOff")


async def test_an_image_that_is_missing_and_must_not_be_pulled(pods: Pods) -> None:
    said = f'Container image "{MISSING}" is not present with pull policy of Never'
    pod = await pods.waiting(await pods.pod({"image": MISSING, "imagePullPolicy": "Never"}), "ErrImageNeverPull")
    assert waits(pod)["message"] == said
    assert await pods.event(pod, "ErrImageNeverPull") == ("Warning", "ErrImageNeverPull", said)
    await pods.event(pod, "Failed", "Error: ErrImageNeverPull")


@pytest.mark.parametrize("image", ["NOT A NAME", "Upper", "a//b"])
async def test_an_image_that_has_no_proper_name(pods: Pods, image: str) -> None:
    pod = await pods.waiting(await pods.pod({"image": image}), "InvalidImageName")
    begin = f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}": '
    assert waits(pod)["message"].startswith(begin)
    assert pod["status"]["phase"] == "Pending"
    await pods.event(pod, "InspectFailed", begin)
    await pods.event(pod, "Failed", "Error: InvalidImageName")


@pytest.mark.parametrize("policy", ["Never", "IfNotPresent"])
async def test_an_image_that_is_there(pods: Pods, policy: str) -> None:
    await pods.over(await pods.pod(sh("exit 0"), restartPolicy="Never"))  # our node makes it at the first use
    pod = await pods.over(await pods.pod({**sh("exit 0"), "imagePullPolicy": policy}, restartPolicy="Never"))
    image = re.escape(pods.target.image)
    message = (await pods.event(pod, "Pulled"))[2]
    assert re.fullmatch(
        f'Container image "{image}" already present on machine( and can be accessed by the pod)?', message
    )
    assert not [event for event in await pods.events(pod) if event[1] == "Pulling"]


async def test_one_container_waits_for_its_image_and_the_other_runs(pods: Pods) -> None:
    pod = await pods.pod(sh("sleep 100"), {"image": MISSING})
    pod = await pods.until(
        pod, lambda now: "running" in container(now)["state"] and waits(now, "c1").get("reason") == "ImagePullBackOff"
    )
    assert pod["status"]["phase"] == "Pending"


async def test_a_missing_image_of_an_init_container(pods: Pods) -> None:
    pod = await pods.pod(sh("true"), init=[{"image": MISSING}])
    pod = await pods.waiting(pod, "ImagePullBackOff", "init0")
    assert waits(pod)["reason"] == "PodInitializing"
