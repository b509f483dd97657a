"""Cells in a real IPython, their jobs on a real node: what a user sees, and what a failure says."""

import asyncio
import signal
import textwrap

from kf_spawner.tfjob.names import TFJOBS
from tests.fixtures.saved_model import saved_model

LOAD = "%load_ext kf_spawner.notebook"
IMPORT = "from kf_spawner.notebook import *"


async def test_a_cell_runs_as_a_job_and_shows_its_lines_and_its_end(shell):
    cell = """\
        %%tfjob hello --worker 1 --env GREETING="good day" --arg one --arg "two words"
        import os, sys
        print(os.environ["GREETING"], sys.argv[1:])
        print("home", os.getcwd() == os.path.expanduser("~"))
        """
    again = textwrap.dedent(cell).replace("hello ", "hello --replace ").replace("one", "three")
    _, first, second, listed = await shell.run(
        LOAD, textwrap.dedent(cell), again, f"{IMPORT}\nprint([(job['name'], job['state']) for job in list_tfjobs()])"
    )
    assert first.error == ""
    assert "[worker-0] good day ['one', 'two words']" in first.output
    assert "[worker-0] home True" in first.output
    assert "TFJob hello: Succeeded" in first.output
    assert "['three', 'two words']" in second.output, second
    assert "[('hello', 'Succeeded')]" in listed.output


async def test_a_failed_job_is_a_short_error_with_the_replica_and_its_last_lines(shell):
    cell = "%%tfjob broken\nprint('before')\nraise ValueError('no such thing')\n"
    _, failed = await shell.run(LOAD, cell)
    assert "TFJobFailed" in failed.error
    assert "worker-0 Failed (Error), exit code 1" in failed.error
    assert "ValueError: no such thing" in failed.error
    assert "kf_spawner/notebook" not in failed.error, "our own frames are nobody's business"


async def test_a_flood_of_lines_is_cut_in_the_middle_and_kept_in_the_log(shell):
    cell = "%%tfjob flood\nfor number in range(20000):\n    print('line', number, 'x' * 500)\n"
    count = f"{IMPORT}\nprint('in the log:', sum(1 for _ in TFJob.get('flood').lines()))"
    _, flood, counted = await shell.run(LOAD, cell, count)
    assert "lines left out here" in flood.output
    assert "[worker-0] line 19999" in flood.output
    assert "TFJob flood: Succeeded" in flood.output
    assert "in the log: 20000" in counted.output, counted


async def test_a_name_in_use_says_what_to_do(shell):
    cell = "%%tfjob hello --detach\nprint()\n"
    _, first, second = await shell.run(LOAD, cell, cell)
    assert "%tfjob hello shows it" in first.output
    assert "KfError" in second.error
    assert "--replace" in second.error


async def test_the_object_does_the_same_from_function_script_notebook_and_manifest(shell, live_workspace):
    home = live_workspace.home
    (home / "script.py").write_text("print('from a script')\n")
    (home / "book.ipynb").write_text(
        '{"cells": [{"cell_type": "code", "source": ["%matplotlib inline\\n", "print(\'from a notebook\')"]},'
        ' {"cell_type": "code", "source": "%%bash\\nls"}, {"cell_type": "markdown", "source": "x"}]}'
    )
    (home / "job.yaml").write_text(
        textwrap.dedent(
            """\
            apiVersion: kubeflow.org/v1
            kind: TFJob
            metadata: {name: by-manifest}
            spec:
              tfReplicaSpecs:
                Worker:
                  template:
                    spec:
                      containers:
                        - name: tensorflow
                          image: kf-spawner/plain:0.1.0
                          command: [python, -c, "print('from a manifest')"]
            """
        )
    )
    cells = [
        "def work(what, times=1):\n    import sys\n    print('from a', what * times)\n    sys.stdout.flush()",
        "TFJob.from_function(work, args=['func'], kwargs={'times': 2}, worker=1).submit().wait()",
        "limits = {'deadline': 600, 'run_policy': {'backoffLimit': 3}}\n"
        "job = TFJob.from_script('~/script.py', 'by-script', **limits).submit().wait(quiet=True)\n"
        "job.logs()\nprint(sorted(job.status()['manifest']['spec']['runPolicy']))",
        "TFJob.from_notebook('~/book.ipynb', 'by-notebook').submit().wait()",
        "job = TFJob.from_manifest('~/job.yaml').submit().wait()\nprint(job.name, job.state)",
        "job.submit(replace=True).wait(quiet=True)\nprint(job.events()[0]['reason'])\njob.delete()",
        "TFJob.get('by-manifest')",
    ]
    (_, _, function, script, notebook, manifest, again, gone) = await shell.run(IMPORT, *cells)
    assert "[worker-0] from a funcfunc" in function.output, function
    assert "[worker-0] from a script" in script.output, script
    assert "['activeDeadlineSeconds', 'backoffLimit', 'cleanPodPolicy']" in script.output
    assert "[worker-0] from a notebook" in notebook.output, notebook
    assert "[worker-0] from a manifest" in manifest.output, manifest
    assert "by-manifest Succeeded" in manifest.output
    assert again.error == "", again
    assert "there is no TFJob named 'by-manifest'" in gone.error


async def test_an_interrupt_leaves_the_job_and_says_how_to_go_on(shell, live_workspace):
    cell = "%%tfjob long\nimport time\nprint('started', flush=True)\ntime.sleep(1000)\n"
    process = await shell.start(LOAD, cell, "%tfjob long")
    assert process.stdout is not None
    interrupts = 0
    output = ""
    async with asyncio.timeout(240):
        while line := (await process.stdout.readline()).decode():
            output += line
            if "started" in line and interrupts < 2:
                interrupts += 1
                process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    assert output.count("Interrupted: TFJob long continues to run") == 2, output
    assert (await live_workspace.admin.get(TFJOBS, "long", live_workspace.namespace))["metadata"]["name"] == "long"


async def test_an_interrupt_deletes_the_job_where_that_was_asked_for(shell, live_workspace):
    cell = "%%tfjob long --stop-on-interrupt\nimport time\nprint('started', flush=True)\ntime.sleep(1000)\n"
    process = await shell.start(LOAD, cell)
    assert process.stdout is not None
    async with asyncio.timeout(240):
        while line := (await process.stdout.readline()).decode():
            if "started" in line:
                process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    assert (await live_workspace.admin.list(TFJOBS, live_workspace.namespace))["items"] == []


BAD_CELLS = {
    "no name": ("%%tfjob\nprint()", "name", "--help"),
    "an unknown argument": ("%%tfjob a --wrokers 2\nprint()", "--wrokers", "--help"),
    "a count that is none": ("%%tfjob a --worker two\nprint()", "--worker", "whole number"),
    "a count below zero": ("%%tfjob a --worker -1\nprint()", "--worker", "below 0"),
    "a variable without a value": ("%%tfjob a --env LEVEL\nprint()", "--env", "NAME=VALUE"),
    "an open quote": ('%%tfjob a --env "A=1\nprint()', "arguments", "quotation"),
    "an empty cell": ("%%tfjob a\n\n", "program", "write the program"),
    "a program with a mistake": ("%%tfjob a\nprint(\n", "program", "line"),
    "a program with a magic": ("%%tfjob a\nx = 1\n%pip install x\n", "program", "plain Python"),
    "a name that is none": ("%%tfjob My_Job\nprint()", "name", "lower-case"),
    "chief and master": ("%%tfjob a --chief --master\nprint()", "replicas.master", "not both"),
    "an unknown policy": ("%%tfjob a --restart-policy Perhaps\nprint()", "restart_policy", "use one of"),
    "no amount of memory": ("%%tfjob a --memory lots\nprint()", "resources", "such as"),
    "no replica at all": ("%%tfjob a --worker 0\nprint()", "replicas", "at least one"),
    "no time at all": ("%%tfjob a --deadline 0\nprint()", "run_policy.activeDeadlineSeconds", "1 or more"),
    "a percent sign too few": ("%tfjob a --worker 4 --replace", "--replace, --worker", "begin the cell with %%tfjob"),
    "no body to leave": ("%tfjob a --detach", "--detach", "only shows an existing job"),
    "a job that is not there": ("%tfjob nothing", "name", "there is no TFJob"),
    "a function with outer variables": (
        "def outer():\n    x = 1\n    def inner():\n        return x\n    return inner\nTFJob.from_function(outer())",
        "function",
        "as an argument",
    ),
    "a lambda": ("TFJob.from_function(lambda: 1)", "function", "def"),
    "arguments that are not JSON": ("def f(x): pass\nTFJob.from_function(f, args=[object()])", "args", "JSON"),
    "a script that is not a path": ("TFJob.from_script(3, 'a')", "path", "cannot be read"),
    "a manifest that is none": ("TFJob.from_manifest(None)", "path", "cannot be read"),
    "a policy that is none": ("TFJob('a', 'print()', run_policy='All').submit()", "run_policy", "must be a dict"),
    "half of a character": ("TFJob.get('\\ud800')", "name", "there is no TFJob"),
    "a script that is not there": ("TFJob.from_script('~/nothing.py', 'a')", "path", "cannot be read"),
    "a notebook that is none": ("TFJob.from_notebook('~/text.py', 'a')", "path", "not a notebook"),
    "an unknown option": ("TFJob('a', 'print()', wrokers=2).submit()", "wrokers", "use"),
    "a model that is not there": ("deploy('a', '~/nothing')", "path", "does not exist"),
    "a folder without a model": ("deploy('a', '~')", "path", "home directory"),
    "a replica number that is none": ("deploy('a', '~/model', replicas=0)", "replicas", "out of range"),
    "a path that is not text": ("deploy('a', 3)", "path", "SavedModel"),
    "a Path": ("from pathlib import Path\ndeploy('a', Path('~/nothing'))", "/nothing does not exist", "exported"),
    "a model without a signature": ("deploy('a', '~/mute')", "path: ", "no signature to call"),
    "a scale of nothing": ("Endpoint('a').scale(2)", "name", "there is no endpoint named 'a'"),
    "an address": ("deploy('a', 's3://bucket/model')", "s3://bucket/model", "copy the model"),
}


async def test_bad_input_names_what_is_wrong_and_leaves_nothing(shell, live_workspace, subtests):
    (live_workspace.home / "text.py").write_text("x = 1\n")
    (live_workspace.home / "model" / "1").mkdir(parents=True)
    (live_workspace.home / "model" / "1" / "saved_model.pb").write_bytes(saved_model())
    (live_workspace.home / "mute").mkdir()
    (live_workspace.home / "mute" / "saved_model.pb").write_bytes(saved_model(signatures=[]))
    cells = await shell.run(LOAD, IMPORT, *(cell for cell, _, _ in BAD_CELLS.values()))
    for (what, (_, field, words)), cell in zip(BAD_CELLS.items(), cells[2:], strict=True):
        with subtests.test(what):
            assert "KfError" in cell.error, cell
            assert field in cell.error, cell
            assert words in cell.error, cell
            assert "Traceback" not in cell.error
    assert await live_workspace.leftovers() == {}


async def test_help_says_all_arguments_and_makes_nothing(shell, live_workspace):
    _, helped = await shell.run(LOAD, "%%tfjob --help\nprint()")
    assert "--restart-policy" in helped.output
    assert helped.error == ""
    assert await live_workspace.leftovers() == {}
