"""`python -m tests.cluster up|down|load|run`; the other commands are what it starts itself."""

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from . import join, machine, outside, provisioner
from .layout import ROOT, Layout

USAGE = """\
The cluster is up ({seconds} s from its start).
  kubeconfig      {kubeconfig}
  run a command   python -m tests.cluster run -- kubectl --kubeconfig {kubeconfig} get pods --all-namespaces
  load an image   python -m tests.cluster load ARCHIVE.tar
  its logs        {logs}
  take it down    make cluster-down
Its addresses are reached only by commands that are run that way."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--home", type=Path, default=ROOT / ".cluster", help="the cluster's folder")
    commands = parser.add_subparsers(dest="command", required=True)
    nodes = commands.add_parser("up", help="bring the cluster up")
    nodes.add_argument("--nodes", type=int, help="how many; counts at the start only (default: as before, or 1)")
    commands.add_parser("down", help="leave nothing of it")
    commands.add_parser("load", help="load images").add_argument("archives", nargs="+", type=Path)
    commands.add_parser("run", help="run a command in its network").add_argument("argv", nargs=argparse.REMAINDER)
    for name in ("machine", "provision", "join", "node"):
        internal = commands.add_parser(name)
        internal.add_argument("--home", type=Path, required=True)
        if name in ("join", "node"):
            internal.add_argument("--number", type=int, required=True)
    arguments = parser.parse_args()
    try:
        _do(arguments, Layout(arguments.home.resolve()))
    except outside.ClusterError as error:
        sys.exit(f"cluster: {error}")


def _do(arguments: argparse.Namespace, layout: Layout) -> None:
    match arguments.command:
        case "up":
            outside.up(layout, arguments.nodes)
            seconds = layout.ready.read_text().strip()
            print(USAGE.format(seconds=seconds, kubeconfig=layout.kubeconfig, logs=layout.logs))
        case "down":
            outside.down(layout)
        case "load":
            outside.load(layout, arguments.archives)
        case "run":
            outside.run(layout, arguments.argv[arguments.argv[0] == "--" :])
        case "machine":
            machine.run(layout)
        case "join":
            sys.exit(join.run(layout, arguments.number))
        case "node":
            join.be(layout, arguments.number)
        case "provision":
            logging.basicConfig(level=logging.INFO)
            asyncio.run(provisioner.serve(layout.home / "kubeconfigs" / "provisioner.kubeconfig", layout.volumes))


if __name__ == "__main__":
    main()
