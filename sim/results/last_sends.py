"""Which attempt of a request its row tells of: the one whose answer was taken, else the last.
Asked by `sim.results.table`, for all ended rows of a chunk together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.engine.events import REMOTE
from sim.engine.state import NEW_SEND, Columns, Ended
from sim.results.columns_by_run import COLD, LOADS, TOGETHER
from sim.world.parameters import Parameters

# What rows tell of it, and what stands there in a row without one.
_NEVER = {
    "sent": np.nan,
    "reached": np.nan,
    "option": -1,
    **{
        name: NEW_SEND[name]
        for name in (
            "model",
            "computed_at",
            "started",
            "finished",
            "replica",
            "batch_size",
            "cause",
            "is_cold",
            "loads",
        )
    },
}


def last_sends(ended: Ended) -> Columns:
    """Per row what `_NEVER` names of the send that was answered, else of its last; rows without one get one
    that never happened."""
    sends, n = ended.sends, len(ended.rows["request_id"])
    row, last = sends["row"], np.full(n, -1)  # which is where that one is appended
    last[row] = np.arange(len(row))
    several = np.flatnonzero(np.bincount(row, minlength=n)[row] > 1)
    if len(several):
        order = several[np.lexsort((sends["attempt"][several], is_answer(ended)[several]))]
        last[row[order]] = order
    return {
        name: np.append(sends[name], np.array(nothing, dtype=sends[name].dtype))[last]
        for name, nothing in _NEVER.items()
    }


def is_answer(ended: Ended) -> NDArray[np.bool_]:
    """Which sends are those whose answer the client took, bool (sends,): of two that come at the same instant
    that of the earlier attempt, and none of an attempt that the client had given up."""
    sends, rows = ended.sends, ended.rows
    back, row, attempt = sends["finished"] + sends["downlink_s"], sends["row"], sends["attempt"]
    found: NDArray[np.bool_] = (rows["outcome"][row] == REMOTE) & (back == rows["completed_at"][row])
    found &= sends["failure"] == 0
    if np.count_nonzero(found) > np.count_nonzero(rows["outcome"] == REMOTE):
        first = np.full(len(rows["outcome"]), np.iinfo(attempt.dtype).max, attempt.dtype)
        np.minimum.at(first, row[found], attempt[found])
        found &= attempt == first[row]
    return found


def met(parameters: Parameters, sends: Columns) -> Columns:
    """What servers of some sorts tell of a send."""
    found: Columns = {COLD.name: sends["is_cold"]} if parameters.has_calls else {}
    return found | ({LOADS.name: sends["loads"]} if parameters.swaps else {})


def left_together(ended: Ended) -> Columns:
    """Per row the request_id of the first that its first send left together with, and how long it had waited
    for that, s; -1 and NaN where it did not leave so."""
    rows, sends = ended.rows, ended.sends
    first = np.flatnonzero((sends["attempt"] == 1) & (sends["transmission"] >= 0))
    row, n = sends["row"][first], len(rows["client"])
    transmission, held_s = np.full(n, -1, dtype=np.int64), np.full(n, np.nan)
    transmission[row] = sends["transmission"][first]
    held_s[row] = sends["sent"][first] - rows["decided"][row]
    return dict(zip((field.name for field in TOGETHER), (transmission, held_s), strict=True))
