"""A replica as a process: reads how long to be busy, is, and says from when to when.
It ends with whoever started it: its input is closed then."""

from __future__ import annotations

import sys
import time


def main() -> None:
    """A line in (wall seconds), a line out (two monotonic instants); the first line out: it is ready."""
    print("ready", flush=True)
    for line in sys.stdin:
        began = time.monotonic()
        time.sleep(float(line))
        print(began, time.monotonic(), flush=True)


if __name__ == "__main__":
    main()
