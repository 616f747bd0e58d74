"""Where the command line is entered: by `run_sim.py` in the tree, by the command `l2h-fleet` elsewhere.
Imports nothing that takes time, so that Ctrl-C ends the other imports too."""

from __future__ import annotations

import gc
import os
import sys

from agents.backends.limits import require_room
from commands.interrupts import EXIT_CODE, ending_at_once
from commands.standard_streams import guard
from sim.errors import BadInput

# When garbage in cycles is looked for: after so many new objects, and every tenth or fifth time among older
# ones. With Python's 700, to go through all that libraries hold takes a tenth of a short run.
COLLECTIONS = 50_000, 10, 5

# Read as NumPy is loaded. Threads of its linear algebra spin as they wait, which takes as much CPU time again
# as a short run's summary, and its sums would depend on how many there are.
ONE_THREAD = "OPENBLAS_NUM_THREADS", "1"

_REMEDY = (
    "the packages that this needs are in .venv after `make demo` (then: .venv/bin/python run_sim.py ...), "
    "or wherever `pip install .` put them"
)


def enter() -> None:
    """Runs the command line and ends the process with its exit code."""
    guard()
    os.environ.setdefault(*ONE_THREAD)
    gc.set_threshold(*COLLECTIONS)
    with ending_at_once():
        try:
            require_room()
            from commands.main import main
        except BadInput as error:
            print(error, file=sys.stderr)
            sys.exit(2)
        except ImportError as error:  # another Python, or too little memory to load a library
            print(f"cannot start: {' '.join(str(error).split())}; {_REMEDY}", file=sys.stderr)
            sys.exit(2)

    code = main()
    if code == EXIT_CODE:  # all is closed, and to take a large process apart would take seconds
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
