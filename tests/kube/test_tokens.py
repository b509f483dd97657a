"""Tokens that die: said in words, and replaced by what is in their file then, without a new start."""

import asyncio
import json
import logging
import os
import sys
from pathlib import Path

import pytest

from kf_spawner.kube import Client, Informer, NotFound, Unauthorized, load_config
from kf_spawner.kube.resources import CONFIGMAPS, NAMESPACES, ROLEBINDINGS, SERVICEACCOUNTS
from tests.fixtures.tokens import sign

PATIENCE = 120.0

PLUGIN = """
import json, sys
folder = sys.argv[1]
with open(f"{folder}/runs", "a") as runs:
    runs.write("run;")
open(f"{folder}/go").read()
token = open(f"{folder}/token").read()
print(json.dumps({"kind": "ExecCredential", "status": {"token": token}}))
"""
"""A credential plugin that waits until somebody writes to the pipe `go`."""


class Account:
    """A service account that may do anything in its namespace, and a file with its token."""

    def __init__(self, admin: Client, namespace: str, control_plane, folder: Path):
        self.admin, self.namespace = admin, namespace
        self._plane, self._folder, self._made = control_plane, folder, {}
        self.file = folder / "token"

    async def make(self) -> None:
        """Anew where there was one: what was signed for that is dead."""
        if self._made:
            await self.admin.delete(SERVICEACCOUNTS, "reader", self.namespace)
            async with asyncio.timeout(PATIENCE):
                while await self._is_there():
                    await asyncio.sleep(0.05)
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}}
        self._made = await self.admin.create(SERVICEACCOUNTS, account, self.namespace)

    async def _is_there(self) -> bool:
        try:
            await self.admin.get(SERVICEACCOUNTS, "reader", self.namespace)
        except NotFound:
            return False
        return True

    async def allow(self) -> None:
        subject = {"kind": "ServiceAccount", "name": "reader", "namespace": self.namespace}
        all_of_it = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "reader"},
            "roleRef": all_of_it,
            "subjects": [subject],
        }
        await self.admin.create(ROLEBINDINGS, binding, self.namespace)

    def write_token(self, *, seconds: float = 3600) -> None:
        key = self._plane.credentials.service_account_key
        self.file.write_text(sign(key, self._made, seconds=seconds))

    def kubeconfig(self, user: dict | None = None) -> Path:
        document = {
            "current-context": "x",
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x", "namespace": self.namespace}}],
            "clusters": [
                {
                    "name": "x",
                    "cluster": {
                        "server": self._plane.server,
                        "certificate-authority": str(self._plane.credentials.authority),
                    },
                }
            ],
            "users": [{"name": "x", "user": user or {"tokenFile": "token"}}],
        }
        path = self._folder / "kubeconfig"
        path.write_text(json.dumps(document))
        return path


@pytest.fixture
async def account(control_plane, tmp_path):
    async with Client(load_config(control_plane.admin_kubeconfig), user_agent="test") as admin:
        made = await admin.create(
            NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "tokens-"}}
        )
        namespace = made["metadata"]["name"]
        account = Account(admin, namespace, control_plane, tmp_path)
        await account.make()
        await account.allow()
        yield account
        await admin.delete(NAMESPACES, namespace)


async def test_a_dead_token_is_named_and_its_successor_used_at_once(account):
    account.write_token(seconds=-1)
    async with Client(load_config(account.kubeconfig()), user_agent="test") as client:
        with pytest.raises(Unauthorized, match=r"does not accept the token in .*/token: it has expired"):
            await client.request("GET", "/api")
        assert client.is_refused
        account.write_token()
        await client.request("GET", "/api")
        assert not client.is_refused


async def test_a_token_that_dies_between_two_requests_fails_none(account):
    """Its account is deleted and created again; then the file is renewed."""
    account.write_token()
    async with Client(load_config(account.kubeconfig()), user_agent="test") as client:
        await client.request("GET", "/api")
        await account.make()
        account.write_token()
        async with asyncio.timeout(PATIENCE):
            while not client.requests["GET", 401]:  # the API server remembers for some seconds whom it knew
                await client.request("GET", "/api")
                await asyncio.sleep(0.2)
        assert client.requests["GET", 401] == 1


async def test_a_cache_says_that_its_token_is_refused_and_goes_on_with_the_next(account, caplog):
    account.write_token(seconds=-1)
    async with Client(load_config(account.kubeconfig()), user_agent="test") as client:
        with caplog.at_level(logging.WARNING):
            async with Informer(client, CONFIGMAPS, account.namespace) as informer, asyncio.timeout(PATIENCE):
                while "does not accept the token in" not in caplog.text:
                    await asyncio.sleep(0.05)
                assert not informer.is_synced
                account.write_token()
                await informer.synced()


def plugin(*argv: str) -> dict:
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": argv[0], "args": list(argv[1:])}}


async def test_a_slow_credential_plugin_holds_nobody_up_and_runs_once_for_all(account, tmp_path):
    account.write_token()
    os.mkfifo(tmp_path / "go")
    user = plugin(sys.executable, "-c", PLUGIN, str(tmp_path))
    async with Client(load_config(account.kubeconfig(user)), user_agent="test") as client:
        requests = [asyncio.create_task(client.request("GET", "/api")) for _ in range(3)]
        async with asyncio.timeout(PATIENCE):
            while not (tmp_path / "runs").exists():  # the loop goes on while it runs
                await asyncio.sleep(0.01)
            (tmp_path / "go").write_text("go")
            await asyncio.gather(*requests)
    assert (tmp_path / "runs").read_text() == "run;"


PLUGINS = {
    "not there": (["/nowhere/login"], "login gave no token: No such file or directory; install it"),
    "failed": (["sh", "-c", "echo first; echo 'log in first' >&2; exit 7"], "it ended with 7 (log in first)"),
    "no JSON": (["echo", "token"], "is not an ExecCredential with a token"),
    "no token": (["echo", '{"status": {"clientCertificateData": "x"}}'], "is not an ExecCredential with a token"),
    "no status": (["echo", "[]"], "is not an ExecCredential with a token"),
}


@pytest.mark.parametrize("name", PLUGINS)
async def test_a_credential_plugin_without_a_token_is_named_with_its_words(account, name):
    argv, words = PLUGINS[name]
    async with Client(load_config(account.kubeconfig(plugin(*argv))), user_agent="test") as client:
        with pytest.raises(Unauthorized) as caught:
            await client.request("GET", "/api")
        assert caught.value.message.startswith(f"the kubeconfig's credential plugin {argv[0]} gave no token: ")
        assert words in caught.value.message
        assert client.is_refused
        with pytest.raises(Unauthorized):
            await anext(client.watch(CONFIGMAPS, account.namespace, resource_version="1"))


async def test_a_credential_plugin_that_does_not_end_is_told(account, monkeypatch):
    monkeypatch.setattr("kf_spawner.kube.config.EXEC_TIMEOUT", 0.2)
    async with Client(load_config(account.kubeconfig(plugin("sleep", "60"))), user_agent="test") as client:
        with pytest.raises(Unauthorized, match=r"sleep gave no token: it took longer than 0.2 seconds"):
            await client.request("GET", "/api")
