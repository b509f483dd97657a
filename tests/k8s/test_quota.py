"""Refusals of quotas and limits in words; the messages are those of an API server of Kubernetes 1.37."""

import pytest

from kf_spawner.k8s.quota import in_words, read

SAID = [
    (
        'pods "x" is forbidden: exceeded quota: kf-spawner, requested: pods=1,requests.cpu=2, '
        "used: pods=100,requests.cpu=31500m, limited: pods=100,requests.cpu=32",
        "it needs 1 more of pods, with 100 of 100 in use; 2 more of CPU, with 31500m of 32 in use",
    ),
    (
        'tfjobs.kubeflow.org "x" is forbidden: exceeded quota: kf-spawner, requested: count/tfjobs.kubeflow.org=1, '
        "used: count/tfjobs.kubeflow.org=200, limited: count/tfjobs.kubeflow.org=200",
        "it needs 1 more of TFJobs, with 200 of 200 in use",
    ),
    (
        'persistentvolumeclaims "x" is forbidden: exceeded quota: kf-spawner, requested: requests.storage=50Gi, '
        "used: requests.storage=190Gi, limited: requests.storage=200Gi",
        "it needs 50Gi more of storage, with 190Gi of 200Gi in use",
    ),
    (
        'persistentvolumeclaims "data-x-worker-0" is forbidden: maximum storage usage per PersistentVolumeClaim is '
        "100Gi, but request is 500Ti",
        "it asks for 500Ti of storage, and a volume claim may have at most 100Gi",
    ),
    (
        'pods "x" is forbidden: [minimum cpu usage per Container is 100m, but request is 1m, maximum memory usage '
        "per Container is 1Gi, but limit is 4Gi]",
        "it asks for 1m of CPU, and a container may have at least 100m; "
        "it asks for 4Gi of memory, and a container may have at most 1Gi",
    ),
    (
        'pods "x" is forbidden: maximum cpu usage per Pod is 2.  No limit is specified',
        "a pod may have at most 2 of CPU",
    ),
    (
        'pods "x" is forbidden: failed quota: kf-spawner: must specify limits.memory for: tensorflow; requests.cpu '
        "for: tensorflow; requests.memory for: proxy,tensorflow",
        "the quota kf-spawner wants a limit of memory and a request of CPU in the container tensorflow; "
        "a request of memory in the containers proxy, tensorflow",
    ),
    (
        "x is forbidden: exceeded quota: q, requested: count/configmaps=1,services=1,count/deployments.apps=1, "
        "used: count/configmaps=2,services=2,count/deployments.apps=2, "
        "limited: count/configmaps=2,services=2,count/deployments.apps=2",
        "it needs 1 more of ConfigMaps, with 2 of 2 in use; 1 more of Services, with 2 of 2 in use; "
        "1 more of Deployments, with 2 of 2 in use",
    ),
    (
        'pods "x" is forbidden: status unknown for quota: kf-spawner, resources: pods',
        "what is in use of the quota kf-spawner is not known yet",
    ),
]


@pytest.mark.parametrize(("message", "said"), SAID)
def test_a_refusal_in_words(message, said):
    found = read(message)
    assert found
    assert found.said == said
    assert in_words(message) == f"your quota does not allow it: {said}. {found.remedy}"


def test_another_refusal_stays_as_it_is():
    message = 'pods "x" is forbidden: violates PodSecurity "baseline:latest": privileged'
    assert read(message) is None
    assert in_words(message) == message
