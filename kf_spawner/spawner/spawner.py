"""KubeflowSpawner: creates a user's server and follows it until it answers or has failed.

Owns the order of things and what is kept from one start to the next. What may be asked for, what went wrong and how
it is said is decided by the pure modules beside this one; here it is only acted upon.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from jupyterhub.utils import maybe_future, url_path_join
from kubespawner import KubeSpawner
from sqlalchemy.orm import object_session
from traitlets import default

from kf_spawner import __version__, naming
from kf_spawner.k8s import pod_reasons, quantities
from kf_spawner.k8s.names import GPU, HOME_MOUNT
from kf_spawner.kube import AlreadyExists, ApiError, Forbidden, Invalid, NotFound
from kf_spawner.kube.nodes import is_stranded
from kf_spawner.kube.resources import CLAIMS, PODS, SECRETS
from kf_spawner.wrong_input import FieldError, WrongInput

from . import cluster_facts, errors, form, manifests, namespace, options, token
from .cluster import Cluster, PodCache, read_facts
from .diagnosis import Cause, of_end, of_refusal
from .progress import Progress
from .settings import SpawnerSettings
from .startup import Startup

STOP_TIMEOUT = 60.0
"""Seconds beyond the grace period for a deleted pod to be gone."""

LOST_POLL = 10.0
"""Seconds between looks at whether the node of a pod that does not end is lost."""

ASK_TIMEOUT = 10.0
"""Seconds that a page waits for the API server."""


class KubeflowSpawner(SpawnerSettings, KubeSpawner):  # type: ignore[misc] # KubeSpawner has no types
    """One user's notebook server, in the user's own namespace."""

    @default("enable_user_namespaces")
    def _default_enable_user_namespaces(self) -> bool:
        return True

    @default("user_namespace_template")
    def _default_user_namespace_template(self) -> str:
        return "kf-{username}"  # for KubeSpawner's log; naming decides

    @default("working_dir")
    def _default_working_dir(self) -> str:
        return HOME_MOUNT

    @default("extra_pod_config")
    def _default_extra_pod_config(self) -> dict[str, Any]:
        # A Service named "jupyter" would set JUPYTER_PORT in every server of the namespace.
        return {"enableServiceLinks": False}

    @default("delete_pvc")
    def _default_delete_pvc(self) -> bool:
        # Deleting a hub user must not delete data: whoever wants that deletes the namespace.
        return False

    @default("apply_user_options")
    def _default_apply_user_options(self) -> Callable[[object, dict[str, Any]], None]:
        # start() validates and applies them; without a hook JupyterHub would warn that nobody does.
        return lambda spawner, user_options: None

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._progress = Progress()
        self._accepted: dict[str, Any] = {}
        self._tried: tuple[Mapping[str, object], tuple[FieldError, ...]] | None = None
        self._own_home = False
        self._own_packages = True
        self._configured = (_listed(self.volumes), _listed(self.volume_mounts))
        self._token_secret = ""
        self.namespace = naming.user_namespace(self.user.name)
        self.pvc_name = naming.home_claim(self.user.name, self.name or "")
        self._name_pod()

    def _name_pod(self) -> None:
        self.pod_name = naming.server_pod(self.user.name, self.name or "")
        self.dns_name = self.dns_name_template.format(namespace=self.namespace, name=self.pod_name)

    # State that outlives the hub

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "accepted_options": self._accepted}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self._accepted = state.get("accepted_options") or {}

    def clear_state(self) -> None:
        super().clear_state()
        self._name_pod()

    # The one connection, in place of KubeSpawner's reflectors

    async def _cluster(self) -> Cluster:
        return await Cluster.shared(component=self.component_label)

    async def _start_watching_pods(self, replace: bool = False) -> PodCache:
        cache = PodCache(await self._cluster())
        type(self).reflectors[self._get_reflector_key("pods")] = cache
        return cache

    @property
    def _key(self) -> str:
        return f"{self.namespace}/{self.pod_name}"

    # Options: form, API and what was chosen last

    @property
    def limits(self) -> options.Limits:
        return replace(super().limits, storage_class=self.storage_class or "")

    async def ask_cluster(self) -> cluster_facts.ClusterFacts:
        """The present facts of the cluster and of this user's namespace."""
        client = (await Cluster.shared(component=self.component_label, timeout=ASK_TIMEOUT)).client
        return await read_facts(client, self.namespace, grows=self.nodes_on_demand)

    @default("options_form")
    def _options_form_default(self) -> Callable[["KubeflowSpawner"], Awaitable[str]]:
        return type(self)._render_form

    async def _render_form(self) -> str:
        values, found = self._tried or (self.orm_spawner.user_options or {}, ())
        self._tried = None
        try:
            known = await self.ask_cluster()
            cluster = await self._cluster()
        except ApiError as error:
            return errors.failed(errors.of_cluster(error)).jupyterhub_html_message
        return form.render(
            catalogue=self.catalogue,
            facts=known,
            limits=self.limits,
            home_claim=self.pvc_name,
            values=values,
            errors=found,
            ended=cluster.ends.get(self._key),
        )

    @default("options_from_form")
    def _options_from_form_default(self) -> Callable[[Mapping[str, list[str]]], Awaitable[dict[str, Any]]]:
        return self._read_form

    async def _read_form(self, submitted: Mapping[str, list[str]]) -> dict[str, Any]:
        asked = options.from_form(submitted)
        shown: dict[str, object] = {name: values[0] for name, values in submitted.items()}
        try:
            self._validate(asked, await self.ask_cluster())
        except WrongInput as error:
            self._tried = (shown, error.errors)
            raise errors.refused(error) from error
        except ApiError as error:
            self._tried = (shown, ())
            raise errors.failed(errors.of_cluster(error)) from error
        return asked

    def _validate(self, asked: Mapping[str, object], known: cluster_facts.ClusterFacts) -> options.Options:
        return options.validate(
            asked, catalogue=self.catalogue, facts=known, limits=self.limits, home_claim=self.pvc_name
        )

    async def load_user_options(self) -> None:
        """Turns `user_options`, wherever they come from, into the traits that the pod is made of."""
        known = await self.ask_cluster()
        try:
            chosen = self._validate(self.user_options, known)
        except WrongInput as error:
            raise errors.refused(error) from error
        self._pvc_exists = self.pvc_name in known.claims
        self._apply(chosen)

    def _apply(self, chosen: options.Options) -> None:
        self.image = chosen.image.reference
        memory = int(quantities.parse(chosen.memory))
        self.cpu_guarantee = float(quantities.parse(chosen.cpu))
        self.mem_guarantee = memory
        self.mem_limit = int(memory * self.memory_limit_factor) or None
        # The same in the user's own words: "1Gi" reads better in `kubectl describe` than a count of bytes.
        self.extra_resource_guarantees = {"cpu": chosen.cpu, "memory": chosen.memory}
        self.extra_resource_limits = {"memory": f"{self.mem_limit // 1024}Ki"} if self.mem_limit else {}
        if chosen.gpus:
            self.extra_resource_limits[GPU] = str(chosen.gpus)
        self._own_home = chosen.home
        self._own_packages = chosen.packages
        self.storage_capacity = chosen.home_size
        self.volumes, self.volume_mounts = self._volumes()

    def _volumes(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        configured_volumes, configured_mounts = self._configured
        mounts: dict[str, dict[str, Any]] = {}
        if self._own_home:
            mounts[self.home_mount] = {"name": "home", "persistentVolumeClaim": {"claimName": self.pvc_name}}
        if HOME_MOUNT not in {mount["mountPath"] for mount in configured_mounts}:
            # Without a volume there, the working directory is the pod's own for as long as it lives.
            mounts.setdefault(HOME_MOUNT, {"name": "workspace", "emptyDir": {}})
        for number, claim in enumerate(self.extra_claims):
            mounts[f"/mnt/{claim}"] = {"name": f"extra-{number}", "persistentVolumeClaim": {"claimName": claim}}
        ours = [{"name": volume["name"], "mountPath": path} for path, volume in mounts.items()]
        return [*mounts.values(), *configured_volumes], [*ours, *configured_mounts]

    def get_env(self) -> dict[str, Any]:
        env: dict[str, Any] = super().get_env()
        env["HOME"] = HOME_MOUNT
        env["KF_HUB_VERSION"] = __version__
        env["KF_IMAGE"] = self.image
        env["KF_HOME_MOUNT"] = self.home_mount or HOME_MOUNT
        # The same for the jobs that the server makes. Without the leading slash it is not a path that a node without
        # containers replaces by the real directory.
        env["KF_JOB_HOME"] = (self.home_mount or HOME_MOUNT).lstrip("/")
        if self._own_home:
            env["KF_HOME_CLAIM"] = self.pvc_name
        if not self._own_packages:
            env["KF_PACKAGES"] = options.NO_PACKAGES
        if self.model_server_image:
            env["KF_MODEL_SERVER_IMAGE"] = self.model_server_image
        if self.serving_url:
            env["KF_SERVING_URL"] = self.serving_url
        if self.serving_connect_url:
            env["KF_SERVING_CONNECT_URL"] = self.serving_connect_url
        env.update(token.variables(self._token_secret))
        return env

    # Starting and stopping

    async def _start(self) -> str:
        self._progress = Progress()
        try:
            return await self._bring_up()
        except Exception as error:
            # What did not work is shown again, but the next start without options must not try it.
            self._tried = (self.user_options, ())
            self._remember(self._accepted)
            if isinstance(error, ApiError):
                raise errors.failed(errors.of_cluster(error)) from error
            raise

    def _remember(self, chosen: dict[str, Any]) -> None:
        """For the next form and the next start without options. Uncommitted, the end of any request would undo it."""
        self.orm_spawner.user_options = chosen
        session = object_session(self.orm_spawner)
        assert session is not None
        session.commit()

    async def _bring_up(self) -> str:
        self._progress.say("Checking your options.", 2)
        await self.load_user_options()
        self._progress.say(f"Preparing your namespace {self.namespace}.", 5)
        await self._ensure_namespace()
        new_claims = set()
        if self._own_home and not self._pvc_exists:
            new_claims.add(self.pvc_name)
            self._progress.say(f"Requesting your home volume {self.pvc_name} of {self.storage_capacity}.", 8)
            await self._ensure_claim()
        self._progress.say("Requesting a server.", 10)
        cluster = await self._cluster()
        startup = Startup(
            cluster=cluster,
            progress=self._progress,
            pod=await self._create_pod(),
            claims={v["persistentVolumeClaim"]["claimName"] for v in self.volumes if "persistentVolumeClaim" in v},
            new_claims=new_claims,
            container="notebook",
            address=lambda pod: url_path_join(self._get_pod_url(pod), self.server.base_url, "api"),
            patience={
                Cause.ROOM: self.room_patience,
                Cause.VOLUME: self.volume_patience,
                Cause.IMAGE: self.image_patience,
            },
            answer_timeout=self.http_timeout,
            log_tail_lines=self.log_tail_lines,
        )
        pod = await startup.wait()
        self._progress.say("The notebook server answers.", 95)
        self._accepted = dict(self.user_options)
        cluster.ends.pop(self._key, None)
        return str(self._get_pod_url(pod))

    async def _ensure_namespace(self) -> None:
        wanted = manifests.namespace(
            self.namespace,
            user=self.user.name,
            labels=self._expand_all(self.user_namespace_labels),
            annotations=self._expand_all(self.user_namespace_annotations),
        )
        furniture = manifests.furniture(self.namespace, self)
        await namespace.ensure((await self._cluster()).client, wanted, furniture)

    async def _ensure_claim(self) -> None:
        client = (await self._cluster()).client
        try:
            await client.create(CLAIMS, self._as_dict(self.get_pvc_manifest()), self.namespace)
        except AlreadyExists:
            pass
        except (Forbidden, Invalid) as error:
            raise errors.failed(of_refusal(f"the volume {self.pvc_name}", error.message)) from error
        self._pvc_exists = True

    async def _create_pod(self) -> dict[str, Any]:
        """The new pod, without its scheduling gate."""
        client = (await self._cluster()).client
        self._token_secret = f"{self.pod_name}-{secrets.token_hex(5)}"
        manifest = await self.get_pod_manifest()
        if self.modify_pod_hook:
            manifest = await maybe_future(self.modify_pod_hook(self, manifest))
        wanted = token.held(self._as_dict(manifest))
        try:
            try:
                pod = await client.create(PODS, wanted, self.namespace)
            except AlreadyExists:
                self._progress.say("Removing what is left of an earlier server.")
                await self.stop(now=True)
                pod = await client.create(PODS, wanted, self.namespace)
            return await self._give_token(pod)
        except (Forbidden, Invalid) as error:
            raise errors.failed(of_refusal("the server's pod", error.message)) from error

    async def _give_token(self, pod: dict[str, Any]) -> dict[str, Any]:
        """Makes the pod's Secret and lets the pod be scheduled; a pod that cannot have one goes at once."""
        client = (await self._cluster()).client
        try:
            await client.create(SECRETS, token.secret(self._token_secret, pod=pod, value=self.api_token))
            return await client.patch(PODS, self.pod_name, token.RELEASE, self.namespace, kind="strategic")
        except ApiError:
            await self.stop(now=True)
            raise

    def _as_dict(self, model: object) -> dict[str, Any]:
        manifest: dict[str, Any] = self.api.api_client.sanitize_for_serialization(model)
        return manifest

    async def poll(self) -> int | None:
        """None while the pod runs or may yet. One that was left without its Secret never will: it is removed."""
        cluster = await self._cluster()
        if pod := cluster.pods.get(self._key):
            if token.is_held(pod):
                await self.stop(now=True)
                return 1
            if pod_reasons.starts_again(pod):  # KubeSpawner takes it for the pod's end
                return None
            if await is_stranded(cluster.client, pod):
                await self.stop(now=True)
        last = pod or cluster.take_gone(self._key)
        status: int | None = await super().poll()
        if status is not None and last is not None:
            # Not kept in this object: JupyterHub makes another one for the next start.
            ended = cluster.ends[self._key] = of_end(last)
            self.log.warning("%s: %s %s", self._log_name, ended.message, ended.detail)
        return status

    async def stop(self, now: bool = False) -> None:
        """Deletes the pod and returns once it is gone; the home volume stays."""
        cluster = await self._cluster()
        grace = 0 if now else self.delete_grace_period
        with cluster.changes(self._key) as changed:
            try:
                await cluster.client.delete(PODS, self.pod_name, self.namespace, grace_period=grace)
            except NotFound:
                return
            async with asyncio.timeout(grace + STOP_TIMEOUT):
                while (pod := cluster.pods.get(self._key)) is not None:
                    if await is_stranded(cluster.client, pod):
                        with contextlib.suppress(NotFound):
                            await cluster.client.delete(PODS, self.pod_name, self.namespace, grace_period=0)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(changed.wait(), LOST_POLL)
                    changed.clear()
        cluster.take_gone(self._key)  # an end that was asked for is not reported

    async def progress(self) -> AsyncGenerator[dict[str, Any], None]:
        """Each step of the start as a sentence, until JupyterHub stops asking."""
        async with contextlib.aclosing(self._progress.follow()) as entries:
            async for entry in entries:
                yield entry


def _listed(configured: list[dict[str, Any]] | dict[str, Any]) -> list[dict[str, Any]]:
    """KubeSpawner takes a list, or a dict whose keys only say in which order."""
    return [configured[key] for key in sorted(configured)] if isinstance(configured, dict) else list(configured)
