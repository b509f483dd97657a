"""The supervisor with real processes: order, restart, failure to start, stop, what a killed one leaves."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from kf_spawner.localcluster import supervisor
from kf_spawner.localcluster.supervisor import ComponentFailed, NotReady, ProcessSpec, Supervisor, reap

SLEEP = "import time; time.sleep(600)"


def spec(name, code=SLEEP, *, ready=None, after=(), stop_timeout=30.0, late=False):
    return ProcessSpec(
        name=name,
        argv=[sys.executable, "-S", "-c", code],
        env={"PATH": os.environ["PATH"]},
        ready=ready,
        after=after,
        stop_timeout=stop_timeout,
        late=late,
    )


@pytest.fixture
async def make(tmp_path):
    said, made = [], []

    def build(*specs, **options):
        folders = {"run_dir": tmp_path / "run", "log_dir": tmp_path / "logs"}
        made.append(Supervisor(list(specs), say=said.append, **folders, **options))
        return made[-1]

    build.said = said
    build.path = tmp_path
    yield build
    for running in made:
        await running.stop()


def file_there(path):
    async def probe():
        return path.exists()

    return probe


def alive(pid):
    return supervisor.process_start(pid) is not None


def pid_of(make, name):
    return supervisor.read_record(make.path / "run" / f"{name}.json")["pid"]


def restarts_of(make, name):
    return len([line for line in make.said if line.startswith(f"{name} ") and "; restarting it in " in line])


async def until(condition, timeout=60.0):
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.02)


async def test_starts_in_order_and_stops_all(make, tmp_path):
    first = spec("first", f"open({str(tmp_path / 'up')!r}, 'w'); {SLEEP}", ready=file_there(tmp_path / "up"))
    second = spec("second", f"import os; assert os.path.exists({str(tmp_path / 'up')!r}); {SLEEP}", after=("first",))
    running = make(second, first)
    await running.start()
    pids = [pid_of(make, name) for name in ("first", "second")]
    assert all(alive(pid) for pid in pids)
    await running.stop()
    assert not any(alive(pid) for pid in pids)
    assert list((tmp_path / "run").glob("*.json")) == []


async def test_restarts_what_is_killed_and_says_so(make):
    running = make(spec("victim"))
    await running.start()
    pid = pid_of(make, "victim")
    os.kill(pid, signal.SIGKILL)
    await until(lambda: "victim is back" in make.said)
    assert restarts_of(make, "victim") == 1
    assert alive(pid_of(make, "victim"))
    assert pid_of(make, "victim") != pid
    assert any("victim was killed by SIGKILL; restarting it" in line for line in make.said)
    await running.stop()


async def test_the_pause_before_a_restart_doubles_up_to_its_limit(make):
    running = make(spec("failing", "raise SystemExit(1)", late=True), max_backoff=0.7)
    await running.start()
    await until(lambda: restarts_of(make, "failing") == 3)
    await running.stop()
    pauses = [line.rpartition("restarting it in ")[2] for line in make.said if "restarting it" in line]
    assert pauses[:3] == ["0.5 s", "0.7 s", "0.7 s"]


async def test_what_cannot_start_stops_all_with_its_log(make, monkeypatch):
    monkeypatch.setattr(supervisor, "MIN_BACKOFF", 0.01)
    broken = spec("broken", "print('the disk is full'); raise SystemExit(3)", ready=file_there(make.path / "never"))
    running = make(broken, spec("other"))
    with pytest.raises(ComponentFailed, match=r"(?s)broken cannot start.*exit code 3.*the disk is full"):
        await running.start()
    other = pid_of(make, "other")
    await running.stop()
    assert not alive(other)


async def test_the_reason_why_it_is_not_ready_is_told(make, monkeypatch):
    monkeypatch.setattr(supervisor, "START_TIMEOUT", 0.1)

    async def refused():
        raise NotReady("its objects are refused")

    running = make(spec("hanging", ready=refused))
    with pytest.raises(ComponentFailed, match=r"hanging cannot start: .*within 0.1 s: its objects are refused\."):
        await running.start()


async def test_what_comes_back_and_is_never_ready_is_killed_and_tried_again(make, monkeypatch):
    monkeypatch.setattr(supervisor, "MIN_BACKOFF", 0.01)
    there = make.path / "there"
    there.touch()
    running = make(spec("hanging", f"print('the lock is held', flush=True); {SLEEP}", ready=file_there(there)))
    await running.start()
    await until(lambda: "the lock is held" in (make.path / "logs" / "hanging.log").read_text())
    monkeypatch.setattr(supervisor, "START_TIMEOUT", 0.1)
    there.unlink()
    os.kill(pid_of(make, "hanging"), signal.SIGKILL)
    await until(lambda: restarts_of(make, "hanging") >= 3)
    told = [line for line in make.said if "hanging was not ready within 0.1 s; killing it." in line]
    assert len(told) >= 2
    assert "the lock is held" in told[0]
    assert "hanging is back" not in make.said
    there.touch()
    await until(lambda: "hanging is back" in make.said)


async def test_a_late_one_that_hangs_is_tried_again(make, monkeypatch):
    monkeypatch.setattr(supervisor, "START_TIMEOUT", 0.1)
    monkeypatch.setattr(supervisor, "MIN_BACKOFF", 0.01)
    running = make(spec("main"), spec("extra", ready=file_there(make.path / "never"), late=True))
    await running.start()
    await until(lambda: restarts_of(make, "extra") >= 2)


async def test_a_log_that_is_too_long_goes_on_empty(make, monkeypatch):
    monkeypatch.setattr(supervisor, "LOG_LIMIT", 1000)
    monkeypatch.setattr(supervisor, "LOG_POLL", 0.02)
    go = make.path / "go"
    code = f"import os, time; print('x' * 2000, flush=True)\nwhile not os.path.exists('{go}'): time.sleep(0.02)\n"
    running = make(spec("talking", f"{code}print('more', flush=True); {SLEEP}"))
    await running.start()
    log, older = make.path / "logs" / "talking.log", make.path / "logs" / "talking.log.1"
    await until(lambda: older.exists() and log.stat().st_size == 0)
    go.touch()
    await until(lambda: log.stat().st_size)
    assert (log.read_text(), older.read_text()) == ("more\n", "x" * 2000 + "\n")


async def test_each_process_names_its_supervisor(make):
    running = make(spec("marked"))
    await running.start()
    environ = (Path("/proc") / str(pid_of(make, "marked")) / "environ").read_bytes()
    assert f"{supervisor.MARK}={make.path / 'run'}".encode() in environ.split(b"\0")


async def test_a_late_one_delays_and_ends_nothing(make, monkeypatch):
    monkeypatch.setattr(supervisor, "MIN_BACKOFF", 0.01)
    monkeypatch.setattr(supervisor, "MAX_BACKOFF", 0.01)
    there = make.path / "there"
    code = f"import os; {SLEEP} if os.path.exists('{there}') else exit(3)"
    running = make(spec("main"), spec("extra", code, ready=file_there(there), after=("main",), late=True))
    await running.start()
    await until(lambda: restarts_of(make, "extra") > supervisor.START_ATTEMPTS)
    assert alive(pid_of(make, "main"))
    assert restarts_of(make, "main") == 0
    there.touch()
    await until(lambda: "extra is back" in make.said)
    await running.stop()


async def test_kills_what_ignores_sigterm(make):
    code = f"import signal; signal.signal(15, signal.SIG_IGN); open('{make.path}/up', 'w'); {SLEEP}"
    running = make(spec("deaf", code, ready=file_there(make.path / "up"), stop_timeout=0.2))
    await running.start()
    pid = pid_of(make, "deaf")
    await running.stop()
    assert not alive(pid)


async def test_reap_kills_what_a_killed_supervisor_left(make, tmp_path):
    running = make(spec("orphan"))
    await running.start()
    pid = pid_of(make, "orphan")
    assert await reap(tmp_path / "run") == ["orphan"]
    assert not alive(pid)
    await running.stop()


async def test_reap_spares_a_stranger_with_the_same_pid(tmp_path):
    supervisor.write_record(tmp_path / "x.json", {"pid": os.getpid(), "start": "1"})
    assert await reap(tmp_path) == []
