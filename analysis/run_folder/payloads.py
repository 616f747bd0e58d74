"""Bytes that attempts sent: each attempt the payload of the option that it asked.
Between the tables of requests and attempts and `analysis.run_folder.lean_requests`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.run_folder.run import Run
from sim.results import columns

CANCELLED = columns.CAUSES.index("cancelled")


def bytes_up(
    run: Run, rows: dict[str, NDArray[Any]], group: NDArray[Any], cause: NDArray[Any]
) -> NDArray[np.int64]:
    """What one attempt of each row sent, (n,): nothing where it was called off before it left.

    rows: reached_at_s, and option where some clients may choose. group, cause: codes of the group and of
    `server_cause`.
    """
    options = run.options.values()
    sizes = np.array([int(one["link"]["payload_bytes"]) for of_group in options for one in of_group])
    place = np.cumsum([0, *map(len, options)])[group]
    if run.has_options:
        place = place + np.maximum(rows["option"], 0)
    has_left = (cause != CANCELLED) | ~np.isnan(rows["reached_at_s"])
    sent: NDArray[np.int64] = np.where(has_left, sizes[place], 0)
    return sent
