"""The magics: `%%tfjob NAME …` runs a cell's body as a job, `%tfjob NAME` shows an existing job."""

import argparse
import shlex
from typing import Any, Dict, List

from IPython.core.magic import Magics, line_cell_magic, magics_class

from . import program
from .errors import KfError
from .job import TFJob


class _Parser(argparse.ArgumentParser):
    """Raises KfError where argparse would end the process."""

    def error(self, message: str) -> Any:
        field = None
        if message.startswith("argument "):
            field, _, message = message[len("argument ") :].partition(": ")
        raise KfError("%s (%%%%tfjob --help shows all arguments)" % message, field=field, reason="BadRequest")

    def exit(self, status: int = 0, message: Any = None) -> Any:
        raise _Helped()


class _Helped(Exception):
    """The help was printed: there is nothing else to do."""


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError("%r is not a whole number" % text)
    if number < 0:
        raise argparse.ArgumentTypeError("%d is below 0" % number)
    return number


def _variable(text: str) -> List[str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError("%r is not of the form NAME=VALUE" % text)
    return [name, value]


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="%%tfjob",
        description="Runs the cell's body on every replica of a TFJob and shows its state and logs. "
        "%tfjob NAME, without a body, shows an existing job.",
    )
    parser.add_argument("name", help="the job's name: lower-case letters, digits and '-'")
    add = parser.add_argument
    add("--worker", type=_count, metavar="N", help="number of workers (default 1 if no replica type is given)")
    add("--ps", type=_count, metavar="N", help="number of parameter servers")
    add("--chief", action="store_true", help="add a chief")
    add("--master", action="store_true", help="add a master (the chief of older programs)")
    add("--evaluator", type=_count, metavar="N", nargs="?", const=1, help="add an evaluator")
    add("--image", metavar="REF", help="image of the replicas (default: the notebook's own)")
    add("--cpu", metavar="QUANTITY", help="CPU that each replica asks for, such as 500m or 2")
    add("--memory", metavar="QUANTITY", help="memory of each replica, such as 1Gi; a replica that uses more is ended")
    add("--gpu", type=_count, metavar="N", help="GPUs of each replica")
    add("--env", type=_variable, action="append", default=[], metavar="NAME=VALUE", help="environment; repeatable")
    add("--arg", action="append", dest="args", metavar="TEXT", help="an argument of the program; repeatable")
    add("--restart-policy", metavar="POLICY", help="Never (default), OnFailure, Always or ExitCode")
    add("--deadline", type=_count, metavar="SECONDS", help="stop the job when it takes longer")
    add("--no-home", action="store_true", help="replicas without the home volume")
    add("--working-dir", metavar="DIR", help="where the program starts (default: the home directory)")
    add("--replace", action="store_true", help="first delete a job of this name")
    add("--detach", action="store_true", help="only submit; %%tfjob NAME shows it later")
    add("--stop-on-interrupt", action="store_true", help="delete the job when the cell is interrupted")
    return parser


@magics_class
class TFJobMagics(Magics):
    """`%%tfjob` and `%tfjob`."""

    @line_cell_magic
    def tfjob(self, line: str, cell: Any = None) -> None:
        """Runs the cell's body as a TFJob; `%%tfjob --help` says how."""
        parser = _parser()
        try:
            arguments = vars(parser.parse_args(_split(line)))
        except _Helped:
            return
        if cell is None:
            _refuse_without_body({key: value for key, value in arguments.items() if value != parser.get_default(key)})
        stop, replace, detach = (arguments.pop(key) for key in ("stop_on_interrupt", "replace", "detach"))
        name = arguments.pop("name")
        if cell is None:
            job = TFJob.get(name)
        else:
            # Another image may have another Python, with other syntax than this kernel's.
            source = cell if arguments["image"] and cell.strip() else program.checked(cell, "the cell")
            job = TFJob(name, source, **_options(arguments)).submit(replace=replace)
        if detach:
            print("TFJob %s is submitted; %%tfjob %s shows it" % (job.name, job.name))
            return
        _show(job, stop)


def _refuse_without_body(given: Dict[str, Any]) -> None:
    """Refuses options without a program: the user probably forgot a percent sign."""
    flags = ["--" + {"args": "arg"}.get(key, key.replace("_", "-")) for key in given]
    flags = sorted(set(flags) - {"--name", "--stop-on-interrupt"})
    if flags:
        raise KfError(
            "only with a program: begin the cell with %%tfjob and write the program below it. "
            "%tfjob NAME only shows an existing job",
            field=", ".join(flags),
            reason="BadRequest",
        )


def _split(line: str) -> List[str]:
    try:
        return shlex.split(line)
    except ValueError as problem:
        raise KfError("%s in: %s" % (problem, line), field="arguments", reason="BadRequest")


def _options(arguments: Dict[str, Any]) -> Dict[str, Any]:
    options = {key: value for key, value in arguments.items() if value is not None and value is not False}
    options["env"] = dict(options["env"]) or None
    if options.pop("no_home", False):
        options["home"] = False
    return options


def _show(job: TFJob, stop: bool) -> None:
    """Shows the job until it ends. An interrupt ends the display, and with `stop` the job."""
    try:
        job.wait()
    except KeyboardInterrupt:
        if stop:
            print("Interrupted: deleting TFJob %s" % job.name)
            job.delete()
            return
        print(
            "Interrupted: TFJob %s continues to run. %%tfjob %s shows it again, TFJob.get(%r).delete() stops it."
            % (job.name, job.name, job.name)
        )
