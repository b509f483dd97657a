"""Work in a second process: its result or error comes back, this process goes on meanwhile, and none is left over."""

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kf_spawner.model_server.errors import ServingError, invalid
from kf_spawner.model_server.second_process import SecondProcess


@pytest.fixture(scope="module")
def second():
    running = SecondProcess()
    yield running
    running.close()


def refuse(words: str) -> None:
    raise invalid(words)


def test_work_runs_elsewhere_and_this_process_does_nothing_meanwhile(second):
    assert second.call(os.getpid) == second.call(os.getpid) != os.getpid()
    began = time.process_time()
    assert second.call(ast.literal_eval, f"[{'1,' * 30_000}]") == [1] * 30_000
    assert time.process_time() - began < 0.1  # the other process takes three times as much


def test_what_the_work_raises_is_raised(second):
    with pytest.raises(ServingError) as caught:
        second.call(refuse, "no such thing")
    assert (caught.value.code, caught.value.message) == ("INVALID_ARGUMENT", "no such thing")
    with pytest.raises(ZeroDivisionError):
        second.call(divmod, 1, 0)


def test_after_its_end_the_next_call_starts_another(second):
    first = second.call(os.getpid)
    with pytest.raises(ServingError, match="send fewer rows"):
        second.call(os.kill, first, signal.SIGKILL)
    another = second.call(os.getpid)
    assert another != first
    os.kill(another, signal.SIGKILL)
    while is_alive(another):
        time.sleep(0.01)
    assert second.call(os.getpid) != another


def test_it_ends_with_this_process_even_if_that_is_killed():
    program = (
        "import os, time\nfrom kf_spawner.model_server.second_process import SecondProcess\n"
        "if __name__ == '__main__':\n    print(SecondProcess().call(os.getpid), flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        number = int(process.stdout.readline())
        assert is_alive(number)
        process.kill()
    deadline = time.monotonic() + 60
    while is_alive(number):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
