"""The operator beside the last Go training operator and the limit, on a real API server with kwok's nodes.

Jobs of 4 workers are created at once, run, succeed and are deleted. The limit is what the machine gives: the same
pods and services made by a bare loop over 16 connections, without any operator. Every competitor has a fresh control
plane in every round; its program is started again for each number of jobs, and creates one job before it is measured.

    make bench-operator ARGS='--jobs 1,10,100,1000 --rounds 3 --json figures.json'
    python -m benchmarks.operator --only ours --only limit --operator 'mine=my-operator --kubeconfig {kubeconfig}'

Any operator that serves the TFJob CRD can be measured with `--operator`; it also finds its cluster in KUBECONFIG.
"""

import os
import sys

# This file has the name of a standard module: its own folder must not be where modules are looked for.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from benchmarks.scale.rounds import main  # noqa: E402

if __name__ == "__main__":
    main(__doc__)
