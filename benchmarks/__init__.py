"""Performance, each figure a ratio to a peer measured in the same run: modules for `python -m`.
The readable definition of the loop, one of the peers, and the small worlds stand beside the tests."""

import os
import sys
from pathlib import Path

from commands.entry import ONE_THREAD

TESTS = Path(__file__).resolve().parents[1] / "tests"
os.environ.setdefault(*ONE_THREAD)
sys.path[:0] = [str(TESTS), str(TESTS / "sim")]
