"""Performance, each figure a ratio to a peer measured in the same run: modules for `python -m`.
The readable definition of the loop, one of the peers, and the small worlds stand beside the tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
