"""A replica as a process: reads how long to be busy, or what to answer, does so, and says until when.
It ends with whoever started it: its input is closed then. Without a model it needs no package."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

# Else the system's allocator (of GNU) gives a network's memory back after each batch, and clearing it anew
# can take as long as the network itself: batches of one size then take now once, now twice as long.
KEEPS_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "2000000000", "MALLOC_MMAP_THRESHOLD_": "33554432"}


def main() -> None:
    """A line in, `live.service.Law.order`; a line out, [ended, labels], a monotonic instant; the first line
    out: it is ready. The folder of a model, if there is one, is the only word of the command."""
    answer = None
    for folder in sys.argv[1:]:
        from agents.server.runnable import runnable  # noqa: PLC0415  (torch takes seconds)

        try:
            answer = runnable(Path(folder))
        except Exception as error:
            raise SystemExit(f"a replica could not load its model: {error}") from None
    print("ready", flush=True)
    for line in sys.stdin:
        labels = busy(answer, *json.loads(line))
        print(json.dumps([time.monotonic(), labels]), flush=True)


def busy(
    answer: Callable[[list[int]], list[int]] | None, takes: float, slower: float, samples: list[int]
) -> list[int] | None:
    """Does what it is told; the labels of the samples, where a model is there to be asked."""
    if answer is None or not samples:
        time.sleep(takes)
        return None
    began = time.monotonic()
    labels = answer(samples)
    time.sleep((slower - 1) * (time.monotonic() - began))
    return labels


if __name__ == "__main__":
    main()
