"""Performance, each figure a ratio to a peer measured in the same run: modules for `python -m`.
The readable definition of the loop, one of the peers, and the small worlds stand beside the tests."""

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "sim")]
