"""The model server's command line: flags of `tensorflow_model_server`, with `-` or `_` in names, and our own."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

LEAST_THREADS = 4

_BATCHING = "requests are not batched: leave it out"
_NOT_HONOURED = {
    "--model-config-file": "one model is served: give --model-name and --model-base-path",
    "--enable-batching": _BATCHING,
    "--batching-parameters-file": _BATCHING,
    "--monitoring-config-file": "figures are always at /monitoring/prometheus/metrics: leave it out",
    "--ssl-config-file": "TLS ends at the door: leave it out",
    "--rest-api-timeout-in-ms": "give --request-timeout, in seconds",
}
"""Flags of `tensorflow_model_server` that change what it does, and what to do here."""


def arguments() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="kf-model-server",
        description="Serves one SavedModel over TF Serving's REST and gRPC APIs.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--model-name", required=True, help="Name in the API's paths: /v1/models/NAME. Required.")
    add("--model-base-path", required=True, type=Path, help="Folder of versions, or of one SavedModel. Required.")
    add(
        "--saved-model-tags",
        type=_tags,
        help="Tags of the graph to serve, with commas between. Default: serve, or else the first with serve in it.",
    )
    add(
        "--rest-api-host",
        default="127.0.0.1",
        help="Address of both APIs. They do not ask who calls: keep them behind the door. Default: %(default)s.",
    )
    add(
        "--rest-api-port",
        default=8501,
        type=_whole(0, 65535),
        help="TCP port; 0 takes a free one and logs it. Default: %(default)s.",
    )
    add(
        "--port",
        default=8500,
        type=_whole(0, 65535),
        help="TCP port of the gRPC API; 0: no gRPC. Default: %(default)s.",
    )
    add(
        "--poll-interval",
        "--file-system-poll-wait-seconds",
        default=1,
        type=_whole(1, 3600),
        help="Seconds between looks for new versions. Default: %(default)s.",
    )
    add(
        "--wait-for-model",
        default=60,
        type=_whole(0, 86400),
        help="Seconds to wait for a first version in an empty folder. Default: %(default)s.",
    )
    _add_limits(parser)
    _add_graces(parser)
    return parser


def _add_limits(parser: argparse.ArgumentParser) -> None:
    threads = max(LEAST_THREADS, os.cpu_count() or 1)
    add = parser.add_argument
    add(
        "--max-body-mib",
        default=64,
        type=_whole(1, 1024),
        help="Largest body of a request or gRPC message, in MiB. Default: %(default)s.",
    )
    add(
        "--request-timeout",
        default=300,
        type=_whole(1, 3600),
        help="Seconds that a body may take to arrive, then wait, then be predicted. Default: %(default)s.",
    )
    add(
        "--body-timeout",
        default=30,
        type=_whole(1, 3600),
        help="Seconds without a byte of a body under way; the request is then refused. Default: %(default)s.",
    )
    add(
        "--queue",
        default=1000,
        type=_whole(0, 100_000),
        help="Requests that wait for a thread. More are refused with 429. Default: %(default)s.",
    )
    add(
        "--threads",
        "--rest-api-num-threads",
        default=threads,
        type=_whole(1, 256),
        help=f"Predictions that run at the same time. Default: the machine's CPUs, at least {LEAST_THREADS}.",
    )


def _add_graces(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--accept-grace",
        default=0,
        type=_whole(0, 3600),
        help="Seconds after SIGTERM in which requests are still accepted while /v2/health/ready answers 503. "
        "Endpoints set 3, so that the door learns that the pod ends. Default: %(default)s.",
    )
    parser.add_argument(
        "--answer-grace",
        default=20,
        type=_whole(0, 3600),
        help="Seconds after --accept-grace in which running requests may end. Default: %(default)s.",
    )


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """The options; ends the process with a message and code 2 if they are wrong."""
    parser = arguments()
    options, unknown = parser.parse_known_args([_with_dashes(argument) for argument in argv])
    for argument in unknown:
        name, _, value = argument.partition("=")
        if (name, value) != ("--enable-batching", "false"):
            parser.error(f"{name} is not honoured: {_NOT_HONOURED.get(name, 'leave it out; --help lists what is')}")
    if not options.model_name or set("/:?#%") & set(options.model_name):
        parser.error(f"argument --model-name: {options.model_name!r} cannot stand in a path")
    return options


def _with_dashes(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else argument


def _tags(text: str) -> list[str]:
    return [tag.strip() for tag in text.split(",") if tag.strip()]


def _whole(low: int, high: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value} is out of range: from {low} to {high}")
        return value

    convert.__name__ = "whole number"
    return convert
