"""Parts of a pod, each beyond Pod Security's level baseline or just within it, and what our policy says to it."""

from typing import Any

IMAGE = {"name": "notebook", "image": "image"}
APPARMOR = "container.apparmor.security.beta.kubernetes.io/notebook"

Pod = dict[str, Any]
"""`metadata` and `spec` as far as they differ from a plain pod's."""


def of_pod(**spec: Any) -> Pod:
    return {"spec": spec}


def of_container(**fields: Any) -> Pod:
    return of_pod(containers=[{**IMAGE, **fields}])


def of_init_container(**fields: Any) -> Pod:
    return of_pod(initContainers=[{"name": "init", "image": "image", **fields}])


def secured(**context: Any) -> dict[str, Any]:
    return {"securityContext": context}


def annotated(value: str) -> Pod:
    return {"metadata": {"annotations": {APPARMOR: value}}}


def sysctl(name: str) -> Pod:
    return of_pod(**secured(sysctls=[{"name": name, "value": "1"}]))


HOOK = {"httpGet": {"port": 80, "host": "10.0.0.7"}}
SOCKET = {"tcpSocket": {"port": 80, "host": "10.0.0.7"}}
WINDOWS = {"windowsOptions": {"hostProcess": True}}
CAPABILITY = "add no capability beyond"
PROFILE = "allows RuntimeDefault and Localhost"
HANDLER = "host of a probe or lifecycle hook"

BEYOND: list[tuple[Pod, str]] = [
    (of_pod(hostNetwork=True, **secured(**WINDOWS, runAsNonRoot=True)), "windowsOptions.hostProcess"),
    (
        {
            "spec": {
                **of_pod(hostNetwork=True)["spec"],
                **of_container(**secured(**WINDOWS, runAsNonRoot=True))["spec"],
            }
        },
        "windowsOptions.hostProcess",
    ),
    (of_pod(hostNetwork=True), "no host namespaces"),
    (of_pod(hostPID=True), "no host namespaces"),
    (of_pod(hostIPC=True), "no host namespaces"),
    (of_container(**secured(privileged=True)), "are not privileged"),
    (of_init_container(**secured(privileged=True)), "are not privileged"),
    (of_container(**secured(capabilities={"add": ["NET_RAW"]})), CAPABILITY),
    (of_init_container(**secured(capabilities={"add": ["CHOWN", "SYS_ADMIN"]})), CAPABILITY),
    (of_pod(volumes=[{"name": "host", "hostPath": {"path": "/"}}]), "mount no hostPath"),
    (of_container(ports=[{"containerPort": 80}, {"containerPort": 81, "hostPort": 81}]), "hostPort"),
    (of_init_container(ports=[{"containerPort": 80, "hostPort": 80}]), "hostPort"),
    (of_container(livenessProbe=HOOK), HANDLER),
    (of_container(readinessProbe=SOCKET), HANDLER),
    (of_container(startupProbe=HOOK), HANDLER),
    (of_container(lifecycle={"postStart": HOOK}), HANDLER),
    (of_container(lifecycle={"preStop": HOOK}), HANDLER),
    (of_init_container(restartPolicy="Always", startupProbe=SOCKET), HANDLER),
    (of_pod(**secured(appArmorProfile={"type": "Unconfined"})), "appArmorProfile"),
    (of_container(**secured(appArmorProfile={"type": "Unconfined"})), "appArmorProfile"),
    (annotated("unconfined"), "appArmorProfile"),
    (of_pod(**secured(seLinuxOptions={"type": "spc_t"})), "seLinuxOptions"),
    (of_container(**secured(seLinuxOptions={"user": "system_u"})), "seLinuxOptions"),
    (of_init_container(**secured(seLinuxOptions={"role": "system_r"})), "seLinuxOptions"),
    (of_pod(**secured(seccompProfile={"type": "Unconfined"})), PROFILE),
    (of_init_container(**secured(seccompProfile={"type": "Unconfined"})), PROFILE),
    (sysctl("net.core.somaxconn"), "securityContext.sysctls"),
]
"""What Pod Security refuses in a namespace with this level, and a part of what our policy says to it."""

WITHIN: list[Pod] = [
    of_pod(hostUsers=False, containers=[{**IMAGE, **secured(procMount="Unmasked")}]),
    of_pod(**secured(runAsUser=0, windowsOptions={"hostProcess": False})),
    of_container(**secured(allowPrivilegeEscalation=True, capabilities={"add": ["CHOWN", "SYS_CHROOT"]})),
    of_pod(volumes=[{"name": "v", "nfs": {"server": "10.0.0.7", "path": "/"}}, {"name": "e", "emptyDir": {}}]),
    of_container(ports=[{"containerPort": 80}], livenessProbe={"httpGet": {"port": 80}}),
    of_container(lifecycle={"preStop": {"exec": {"command": ["true"]}}}),
    of_pod(**secured(appArmorProfile={"type": "Localhost", "localhostProfile": "own"})),
    annotated("runtime/default"),
    annotated("localhost/own"),
    of_pod(**secured(seLinuxOptions={"type": "container_t", "level": "s0:c1,c2"})),
    of_container(**secured(seLinuxOptions={"type": "container_engine_t"})),
    of_container(**secured(seccompProfile={"type": "RuntimeDefault"})),
    of_pod(**secured(seccompProfile={"type": "Localhost", "localhostProfile": "own.json"})),
    *(
        sysctl(name)
        for name in (
            "kernel.shm_rmid_forced",
            "net.ipv4.ip_local_port_range",
            "net.ipv4.ip_local_reserved_ports",
            "net.ipv4.ip_unprivileged_port_start",
            "net.ipv4.ping_group_range",
            "net.ipv4.tcp_fin_timeout",
            "net.ipv4.tcp_keepalive_intvl",
            "net.ipv4.tcp_keepalive_probes",
            "net.ipv4.tcp_keepalive_time",
            "net.ipv4.tcp_notsent_lowat",
            "net.ipv4.tcp_rmem",
            "net.ipv4.tcp_slow_start_after_idle",
            "net.ipv4.tcp_syncookies",
            "net.ipv4.tcp_wmem",
        )
    ),
]
"""What Pod Security allows there, although the level restricted may not."""
