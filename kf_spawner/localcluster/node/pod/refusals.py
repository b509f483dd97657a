"""The fields of a pod that a plain process cannot honour. Pure: a pod in, sentences or fields out.

Each sentence names the field, the reason and what to use instead. Fields that only lower the rights of a pod
(runAsNonRoot, dropped capabilities, a default seccomp profile) are not refused, because every notebook pod has some
of them; `unenforced` names them. docs/node-volumes.md lists both.
"""

from collections.abc import Iterator
from typing import Any

from kf_spawner.k8s.names import GPU

VOLUME_KINDS = frozenset(
    {"persistentVolumeClaim", "emptyDir", "configMap", "secret", "downwardAPI", "projected", "ephemeral"}
)
PROJECTED_KINDS = frozenset({"serviceAccountToken", "configMap", "secret", "downwardAPI"})

WRITABLE_KINDS = frozenset({"persistentVolumeClaim", "emptyDir", "ephemeral"})
"""Kinds of volumes that a container may write to. All others are read-only in every container."""
LOWERING = ("runAsUser", "runAsGroup", "runAsNonRoot", "fsGroup", "supplementalGroups", "readOnlyRootFilesystem")

_CLUSTER = "run it on a cluster whose nodes have containers"
_CLAIM = "use a persistentVolumeClaim"


def refuse(pod: dict[str, Any]) -> list[str]:
    """Why the node refuses `pod`: a sentence for each reason. Empty if the node can run it."""
    spec = pod["spec"]
    reasons = [*_pod_fields(spec), *_security(spec.get("securityContext") or {}, "spec.securityContext")]
    for index, volume in enumerate(spec.get("volumes") or []):
        reasons += _volume(volume, f"spec.volumes[{index}]")
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or []):
            reasons += _container(container, f"spec.{field}[{index}]")
    return reasons


def refuse_ephemeral(pod: dict[str, Any]) -> list[str]:
    """Why the node refuses the debug containers of a running pod. The pod itself continues."""
    return [
        f'spec.ephemeralContainers "{container["name"]}": a running pod gets no new container; use kubectl exec'
        for container in pod["spec"].get("ephemeralContainers") or []
    ]


def unenforced(pod: dict[str, Any]) -> list[str]:
    """The fields of `pod` that have no effect on a plain process: each only limits the pod or lowers its rights."""
    spec = pod["spec"]
    volumes = spec.get("volumes") or []
    fields = [*_lowered(spec.get("securityContext") or {}, "spec.securityContext")]
    for index, volume in enumerate(volumes):
        if (volume.get("persistentVolumeClaim") or {}).get("readOnly"):
            fields.append(f"spec.volumes[{index}].persistentVolumeClaim.readOnly")
        if (volume.get("emptyDir") or {}).get("sizeLimit"):
            fields.append(f"spec.volumes[{index}].emptyDir.sizeLimit")
    writable = {volume["name"] for volume in volumes if WRITABLE_KINDS & volume.keys()}
    for part in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(part) or []):
            path = f"spec.{part}[{index}]"
            fields += _lowered(container.get("securityContext") or {}, f"{path}.securityContext")
            limits = (container.get("resources") or {}).get("limits") or {}
            fields += [f"{path}.resources.limits.{name}" for name in ("cpu", "ephemeral-storage") if name in limits]
            fields += [
                f"{path}.volumeMounts[{number}].readOnly"
                for number, mount in enumerate(container.get("volumeMounts") or [])
                if mount.get("readOnly") and mount["name"] in writable
            ]
    return fields


def _lowered(context: dict[str, Any], path: str) -> Iterator[str]:
    for field in LOWERING:
        value = context.get(field)
        if value is not None and value is not False and value != []:  # 0 is a user too
            yield f"{path}.{field}"
    if context.get("allowPrivilegeEscalation") is False:
        yield f"{path}.allowPrivilegeEscalation"
    if (context.get("capabilities") or {}).get("drop"):
        yield f"{path}.capabilities.drop"
    for field in ("seccompProfile", "appArmorProfile"):
        if (context.get(field) or {}).get("type") == "RuntimeDefault":
            yield f"{path}.{field}"


def _pod_fields(spec: dict[str, Any]) -> Iterator[str]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield f"spec.{field}: this node does not share the machine's own with a pod; remove the field"
    if spec.get("hostAliases"):
        yield "spec.hostAliases: a process reads the machine's own /etc/hosts; name the addresses in the environment"
    if spec.get("dnsPolicy") == "None" or spec.get("dnsConfig"):
        yield "spec.dnsConfig: a process asks the machine's own resolver; remove the field"
    if spec.get("runtimeClassName"):
        yield "spec.runtimeClassName: this node runs plain processes only; remove the field"
    if spec.get("resourceClaims"):
        yield f"spec.resourceClaims: this node does not allocate these devices; use resources.limits {GPU}"
    if (spec.get("os") or {}).get("name", "linux") != "linux":
        yield f"spec.os.name: {spec['os']['name']} programs do not run here; {_CLUSTER}"


def _security(context: dict[str, Any], path: str) -> Iterator[str]:
    if context.get("privileged"):
        yield f"{path}.privileged: a process has only the rights of its Unix user; remove it or {_CLUSTER}"
    added = (context.get("capabilities") or {}).get("add")
    if added:
        yield f"{path}.capabilities.add: {', '.join(added)} are not available to a process; remove it or {_CLUSTER}"
    if context.get("procMount", "Default") != "Default":
        yield f"{path}.procMount: {context['procMount']} needs a container; remove it"
    if context.get("sysctls"):
        yield f"{path}.sysctls: the kernel's settings are the machine's; set them there and remove the field"
    if context.get("windowsOptions"):
        yield f"{path}.windowsOptions: Windows programs do not run here; {_CLUSTER}"
    if context.get("seLinuxOptions"):
        yield f"{path}.seLinuxOptions: a process keeps the node's own label; remove it or {_CLUSTER}"
    for field in ("seccompProfile", "appArmorProfile"):
        if (context.get(field) or {}).get("type") == "Localhost":
            yield f"{path}.{field}: this node cannot load a profile; remove it or {_CLUSTER}"


def _volume(volume: dict[str, Any], path: str) -> Iterator[str]:
    kinds = [kind for kind in volume if kind != "name"]
    named = f'{path} "{volume["name"]}"'
    for kind in kinds:
        if kind == "hostPath":
            yield f"{named}: hostPath would open the machine's own files; {_CLAIM}, or an emptyDir for scratch files"
        elif kind not in VOLUME_KINDS:
            yield f"{named}: {kind} volumes need a container and its mounts; {_CLAIM}"
    medium = (volume.get("emptyDir") or {}).get("medium", "")
    if medium not in ("", "Memory"):
        yield f"{named}: medium {medium} is not supported here; leave emptyDir.medium empty"
    for index, source in enumerate((volume.get("projected") or {}).get("sources") or []):
        for kind in source:
            if kind not in PROJECTED_KINDS:
                allowed = ", ".join(sorted(PROJECTED_KINDS))
                yield f"{named}: projected.sources[{index}].{kind} is not supported here; use one of {allowed}"


def _console(container: dict[str, Any], path: str) -> Iterator[str]:
    for field in ("tty", "stdin"):
        if container.get(field):
            yield f"{path}.{field}: this node has no attach; remove it and use kubectl exec -it"


def _container(container: dict[str, Any], path: str) -> Iterator[str]:
    yield from _security(container.get("securityContext") or {}, f"{path}.securityContext")
    if container.get("volumeDevices"):
        yield f"{path}.volumeDevices: this node has no block devices; {_CLAIM} with volumeMode Filesystem"
    for index, mount in enumerate(container.get("volumeMounts") or []):
        where = f"{path}.volumeMounts[{index}]"
        if not mount["mountPath"].strip("/"):
            yield f"{where}.mountPath: / is the machine's own root; mount the volume at a folder, such as /data"
        if mount.get("mountPropagation", "None") != "None":
            yield f"{where}.mountPropagation: this node mounts nothing, its volumes are directories; remove it"
        if mount.get("recursiveReadOnly", "Disabled") == "Enabled":
            yield f"{where}.recursiveReadOnly: a directory cannot be read-only for one process; remove it"
    yield from _console(container, path)
    for index, entry in enumerate(container.get("env") or []):
        if "fileKeyRef" in (entry.get("valueFrom") or {}):
            yield f"{path}.env[{index}].valueFrom.fileKeyRef: not supported here; use configMapKeyRef or secretKeyRef"
    for index, rule in enumerate(container.get("restartPolicyRules") or []):
        if rule.get("action") != "Restart":
            yield f"{path}.restartPolicyRules[{index}].action: {rule.get('action')} is not supported; use Restart"
    for index, port in enumerate(container.get("ports") or []):
        if port.get("hostPort"):
            yield (
                f"{path}.ports[{index}].hostPort: a pod cannot use a port of the machine; "
                "the pod's own address, status.podIP, can be reached from the machine"
            )
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        if (container.get(probe) or {}).get("grpc"):
            yield f"{path}.{probe}.grpc: this node probes by HTTP, TCP or a command; use httpGet, tcpSocket or exec"
