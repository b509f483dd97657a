"""`kf-spawner down`: stops what uses a home directory, also what a killed `up` left running."""

import asyncio
import os
import signal
import time

from traitlets import Float

from kf_spawner.localcluster.node.pod.orphans import end_pods, pods_on_disk, running_attempts
from kf_spawner.localcluster.supervisor import is_alive, reap

from .base import HomeApplication
from .home import Home

POLL = 0.1
POD_GRACE = 10.0


class Down(HomeApplication):
    """Returns when no process is left. Keeps volumes and databases."""

    name = "kf-spawner down"
    description = "Stop everything that uses a home directory. Volumes and databases are kept."
    timeout = Float(120.0, help="Seconds to wait for everything to stop. Default: 120.").tag(config=True)

    def start(self) -> None:
        home = self.home
        if not home.run.exists():
            self.fail(f"{home.root} is not a home directory of kf-spawner: name one with --home")
        record = home.running()
        if record is None:
            left = asyncio.run(end_leftovers(home))
            print(
                f"stopped what a killed kf-spawner had left running: {', '.join(left)}"
                if left
                else "nothing was running"
            )
            return
        os.kill(record["pid"], signal.SIGTERM)
        deadline = time.monotonic() + self.timeout
        while is_alive(record):
            if time.monotonic() > deadline:
                self.fail(f"kf-spawner (pid {record['pid']}) has not stopped within {self.timeout:g} s")
            time.sleep(POLL)
        print("stopped")


async def end_leftovers(home: Home) -> list[str]:
    """Ends the components and pods that a killed `up` left running. Returns their names."""
    left = await reap(home.components)
    uids = pods_on_disk(home.node)
    pods = running_attempts(home.node, uids)
    await end_pods(home.node, uids, grace=POD_GRACE, interrupt=True)
    return [*left, *([f"{len(pods)} containers"] if pods else [])]
