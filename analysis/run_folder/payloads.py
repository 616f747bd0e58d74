"""Bytes that attempts sent: each attempt the payload of the option that it asked.
Between the tables of requests and attempts and `analysis.run_folder.lean_requests`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.run_folder.run import Run
from sim.results import columns

CANCELLED = columns.CAUSES.index("cancelled")
MOST_ATTEMPTS = np.iinfo(np.int8).max  # as the column of a request's attempts holds


def bytes_up(
    run: Run, rows: dict[str, NDArray[Any]], group: NDArray[Any], cause: NDArray[Any]
) -> NDArray[np.int64]:
    """What one attempt of each row sent, (n,): nothing where it was called off before it left.

    rows: reached_at_s, and option where some clients may choose. group, cause: codes of the group and of
    `server_cause`.
    """
    sizes = _sizes(run)
    place = np.cumsum([0, *map(len, run.options.values())])[group]
    if run.has_options:
        place = place + np.maximum(rows["option"], 0)
    has_left = (cause != CANCELLED) | ~np.isnan(rows["reached_at_s"])
    sent: NDArray[np.int64] = np.where(has_left, sizes[place], 0)
    return sent


def narrowest(run: Run) -> type[np.signedinteger[Any]]:
    """The type that holds what all attempts of a request sent, whatever their number."""
    most = int(_sizes(run).max(initial=0)) * MOST_ATTEMPTS
    return np.int32 if most <= np.iinfo(np.int32).max else np.int64


def _sizes(run: Run) -> NDArray[np.int64]:
    """The payload of each option, group after group."""
    return np.array([int(one["link"]["payload_bytes"]) for group in run.options.values() for one in group])
