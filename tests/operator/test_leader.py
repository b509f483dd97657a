"""Leader election by a Lease: one acts, another takes over, and who has lost it writes nothing any more."""

import asyncio
import signal
import time

import pytest

from kf_spawner.kube import Client, load_config
from kf_spawner.kube.resources import LEASES
from kf_spawner.operator.leader import Leader, LeadershipLost, NotLeading
from tests.operator.conftest import TIMEOUT, OperatorProcess, kubectl
from tests.tfjob.builders import job

# Seconds without a renewal, as Leases are written. A holder gives up after two thirds of it, and of that a machine
# with other work may take a good part: short enough to wait for, long enough not to be lost by chance.
DURATION = 8.0
LONG = 60.0


@pytest.fixture
async def pair(namespace, operator_kubeconfig, control_plane, tmp_path, request):
    """Two operators around the Lease of the test's namespace."""
    options = (
        "--leader-elect",
        f"--OperatorApp.lease_seconds={getattr(request, 'param', DURATION)}",
        f"--OperatorApp.lease_namespace={namespace.name}",
        f"--namespace={namespace.name}",
    )
    role = "--clusterrole=kf-spawner-operator-leader"
    kubectl(control_plane, "create", "rolebinding", "op", role, "--user=kf-spawner:operator", "-n", namespace.name)
    both = [
        OperatorProcess(operator_kubeconfig, tmp_path / f"{name}.log", *options, f"--OperatorApp.identity={name}")
        for name in ("one", "two")
    ]
    try:
        yield [process.start() for process in both]
    finally:
        for process in both:
            if process.process and process.process.poll() is None:
                process.process.send_signal(signal.SIGCONT)
                process.kill()


async def leader_of(namespace, pair) -> tuple[OperatorProcess, OperatorProcess]:
    """Who leads and who does not, once it is settled."""

    async def settled():
        told = ["operator_leader 1.0" in process.get("/metrics") for process in pair]
        return sorted(told) == [False, True] and told

    told = await namespace.until(settled)
    return (pair[0], pair[1]) if told[0] else (pair[1], pair[0])


async def holder(namespace) -> str:
    lease = await namespace.client.get(LEASES, "kf-spawner-operator", namespace.name)
    return lease["spec"].get("holderIdentity") or ""


async def test_one_acts_and_the_other_takes_over_what_it_left(namespace, pair):
    leader, other = await leader_of(namespace, pair)
    await namespace.create(job(Worker=1))
    await namespace.until_pods("mnist-worker-0")
    assert "jobs_created_total{" not in other.get("/metrics")
    leader.kill()
    await namespace.put("mnist-worker-0", "Succeeded", code=0)
    await namespace.create(job("other", Worker=1))
    await namespace.until_pods("mnist-worker-0", "other-worker-0")
    await namespace.until_state("Succeeded")
    assert "operator_leader 1.0" in other.get("/metrics")


@pytest.mark.parametrize("pair", [LONG], indirect=True)
async def test_a_graceful_end_hands_over_at_once(namespace, pair):
    leader, other = await leader_of(namespace, pair)
    first = await holder(namespace)
    assert leader.stop() == 0
    began = time.monotonic()

    async def taken():
        return await holder(namespace) not in (first, "")

    await namespace.until(taken)
    assert time.monotonic() - began < LONG / 3, "the Lease was given back: nobody waited for its end"
    assert other.stop() == 0
    assert await holder(namespace) == ""


async def test_a_leader_that_was_away_does_not_act_any_more(namespace, pair):
    """Stopped in the midst of its work, it goes on after another one has taken over: nothing of it arrives."""
    leader, other = await leader_of(namespace, pair)
    first = await holder(namespace)
    await namespace.create(job(Worker=1))
    await namespace.until_pods("mnist-worker-0")
    leader.process.send_signal(signal.SIGSTOP)
    await namespace.create(job("meanwhile", Worker=2))
    await namespace.until_pods("mnist-worker-0", "meanwhile-worker-0", "meanwhile-worker-1")
    assert await holder(namespace) not in (first, "")
    leader.process.send_signal(signal.SIGCONT)
    status = await asyncio.to_thread(leader.process.wait, TIMEOUT)
    assert status == 1
    log = leader.log.read_text()
    # It asks who has the Lease, and is told, or the answer comes too late for it to go on.
    assert "another process took the lease" in log or "could not be renewed in time" in log
    assert "; this process ends" in log
    assert "Traceback" not in log
    await namespace.put("meanwhile-worker-0", "Succeeded", code=0)
    await namespace.until_state("Succeeded", "meanwhile")
    assert other.process.poll() is None


# The Lease alone


class Clock:
    """A clock that a test moves. The loop's own time goes on as ever."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def contender(client, namespace, clock, name="one", duration=0.3) -> Leader:
    return Leader(client, name="lease", namespace=namespace.name, identity=name, duration=duration, clock=clock)


async def test_writes_are_refused_before_during_and_after(namespace, operator_kubeconfig):
    clock = Clock()
    leader = contender(namespace.client, namespace, clock, duration=30)
    with pytest.raises(NotLeading):
        leader.check()
    await leader.acquire()
    leader.check()
    clock.now += 19
    leader.check()
    clock.now += 2
    with pytest.raises(NotLeading):
        leader.check()
    await leader.release()
    with pytest.raises(NotLeading):
        leader.check()


async def test_the_client_sends_nothing_that_the_guard_forbids(namespace, operator_kubeconfig):
    leader = contender(namespace.client, namespace, Clock())
    config = load_config(operator_kubeconfig)
    async with Client(config, user_agent="test", before_write=leader.check) as guarded:
        with pytest.raises(NotLeading):
            await guarded.create(LEASES, leader._fresh())
        assert not guarded.requests


async def test_another_takes_a_lease_that_nobody_renews(namespace):
    clock = Clock()
    first, second = (contender(namespace.client, namespace, clock, name) for name in ("one", "two"))
    await first.acquire()
    first._holding.cancel()
    taking = asyncio.create_task(second.acquire())

    async def has_seen_it():
        return second._seen[0]

    await namespace.until(has_seen_it)
    assert not taking.done()
    clock.now += 2
    await asyncio.wait_for(taking, TIMEOUT)
    lease = await namespace.client.get(LEASES, "lease", namespace.name)
    assert lease["spec"]["holderIdentity"] == "two"
    assert lease["spec"]["leaseTransitions"] == 1
    await second.release()


async def test_a_leader_learns_that_another_took_its_lease(namespace):
    first = contender(namespace.client, namespace, Clock())
    await first.acquire()
    patch = {"spec": {"holderIdentity": "thief"}}
    await namespace.client.patch(LEASES, "lease", patch, namespace.name)
    with pytest.raises(LeadershipLost, match="another process took"):
        await asyncio.wait_for(first.lost(), TIMEOUT)
    await first.release()
    lease = await namespace.client.get(LEASES, "lease", namespace.name)
    assert lease["spec"]["holderIdentity"] == "thief"


async def test_a_leader_gives_up_when_the_api_server_is_away(namespace, control_plane):
    """As long as it cannot renew, another may have taken over."""
    async with Client(load_config(control_plane.admin_kubeconfig), user_agent="test", timeout=0.2) as client:
        leader = Leader(client, name="lease", namespace=namespace.name, identity="one", duration=0.6)
        await leader.acquire()
        client.config.server = "https://127.0.0.1:1"
        with pytest.raises(LeadershipLost, match="could not be renewed"):
            await asyncio.wait_for(leader.lost(), TIMEOUT)
        await leader.release()
