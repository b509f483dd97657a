"""The command line of `benchmarks/operator.py`: which operators, how many jobs, how often."""

import argparse
import asyncio
import json
import os
import time
from pathlib import Path

from . import cluster, programs, report
from .measure import LIMIT, Figures, measure_limit, measure_operator
from .operators import Command, Operator, Ours, TrainingOperator


def main(description: str) -> None:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", default="1,10,100", help="numbers of jobs, comma separated (default 1,10,100)")
    parser.add_argument("--rounds", type=int, default=3, help="how often all of it is measured (default 3)")
    parser.add_argument("--only", action="append", choices=["ours", "go", LIMIT], help="which ones; default: all")
    parser.add_argument(
        "--operator", action="append", default=[], metavar="NAME=COMMAND", help="one more; may be given several times"
    )
    parser.add_argument("--json", type=Path, help="where to write all figures to")
    arguments = parser.parse_args()
    operators: dict[str, Operator | None] = {"ours": Ours(), "go": TrainingOperator(), LIMIT: None}
    chosen = [operators[name] for name in arguments.only or operators]
    for given in arguments.operator:
        name, separator, command = given.partition("=")
        if not separator:
            parser.error(f"--operator {given}: write it as NAME=COMMAND")
        chosen.append(Command(name, command))
    sizes = [int(number) for number in arguments.jobs.split(",")]
    asyncio.run(measure(chosen, sizes, rounds=arguments.rounds, file=arguments.json))


async def measure(operators: list[Operator | None], sizes: list[int], *, rounds: int, file: Path | None) -> None:
    kwok = await programs.kwok()
    done: list[list[Figures]] = []
    for number in range(rounds):
        done.append([])
        for operator in operators:
            done[-1] += await one_operator(operator, sizes, kwok, round_number=number)
        if file:
            file.write_text(json.dumps(report.as_json(done), indent=1))
    print(f"\n{report.table(done)}")


async def one_operator(
    operator: Operator | None, sizes: list[int], kwok: Path, *, round_number: int
) -> list[Figures]:
    """None is the limit."""
    done = []
    async with cluster.running(kwok) as fresh:
        if operator:
            await operator.prepare(fresh)
        for number, jobs in enumerate(sizes):
            began, name = time.monotonic(), f"jobs-{jobs}-{number}"
            measuring = (
                measure_operator(fresh, operator, jobs, name=name)
                if operator
                else measure_limit(fresh, jobs, name=name)
            )
            figures = await measuring
            done.append(figures)
            print(
                f"round {round_number + 1}, {jobs} jobs, {figures.who}: pods in {figures.created:.2f} s, "
                f"Running {figures.running:.2f} s; measured in {time.monotonic() - began:.0f} s, "
                f"load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
    return done
