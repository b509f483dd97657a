"""Start in the hub to a ready notebook server: on our local node, and on a real kubelet that has the image.

The first hub is the one of `kf-spawner up`, the second the chart's on the cluster that CLUSTER names. Starts
alternate, so that both see the same machine. Prints medians with the least and the most, and the ratio.

Run: `make bench-spawn`, which brings up the test cluster, loads the images and runs this in its network.
"""

import argparse
import asyncio
import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.startup import report, time_spawn
from tests.e2e import product as products
from tests.e2e.client import HubClient
from tests.fixtures import helm
from tests.on_cluster.platform import ClusterInUse, installed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="starts on each (default 5)")
    rounds = parser.parse_args().rounds
    if not os.environ.get("CLUSTER"):
        sys.exit("CLUSTER names no kubeconfig: run 'make bench-spawn'")
    with tempfile.TemporaryDirectory(prefix="kf-bench-") as folder:
        try:
            measure(Path(os.environ["CLUSTER"]), Path(folder), rounds)
        except ClusterInUse as error:
            sys.exit(str(error))


def measure(kubeconfig: Path, folder: Path, rounds: int) -> None:
    program = asyncio.run(helm.ensure(print))
    command = [str(products.kubectl_binary()), f"--kubeconfig={kubeconfig}"]
    with installed(program, kubeconfig, functools.partial(run, command), folder) as platform:
        platform.until_up()
        local = products.start(folder / "home")
        try:
            on_node = HubClient(local.hub)
            on_kubelet = HubClient(platform.url, password=platform.password)
            asyncio.run(compare(on_node, on_kubelet, rounds))
        finally:
            local.stop()


def run(command: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


async def compare(on_node: HubClient, on_kubelet: HubClient, rounds: int) -> None:
    async with on_node, on_kubelet:
        for client in (on_node, on_kubelet):
            await client.make_token()
            await time_spawn(client)  # pulls the image, makes the claim
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(await time_spawn(on_node))
            theirs.append(await time_spawn(on_kubelet))
        report("Start to ready server, local node", ours, "real kubelet", theirs)


if __name__ == "__main__":
    main()
