"""How much of a replica's time each attempt took; a batch that an outage cut short worked until then.
Below `analysis.run_folder.lean_requests`, which adds it up per request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.run_folder.outages import find_outages, hits, usable_steps
from analysis.run_folder.run import Run

Floats = NDArray[np.float64]


def replica_seconds(run: Run, attempts: Mapping[str, NDArray[Any]]) -> Floats:
    """Seconds that each attempt took: its batch's time over the batch's size, 0 where it was never started.

    attempts: columns started_at_s, finished_at_s, replica, batch_size, each (n,); of several servers server,
    as its place among them.
    """
    started = attempts["started_at_s"]
    size = np.maximum(attempts["batch_size"].astype(np.float64), 1.0)
    seconds: Floats = np.nan_to_num(np.maximum(ends_at_s(run, attempts) - started, 0.0) / size)
    return seconds


def ends_at_s(run: Run, attempts: Mapping[str, NDArray[Any]]) -> Floats:
    """When each attempt's batch ended: its finish, else when an outage stopped its replica, at the latest the
    horizon. NaN where it was never started."""
    started, replica = attempts["started_at_s"], attempts["replica"]
    ends: Floats = attempts["finished_at_s"].astype(np.float64)
    cut = np.isnan(ends) & ~np.isnan(started)
    server = attempts.get("server", np.zeros(len(ends), dtype=np.int64))
    for place, name in enumerate(run.servers):
        for index in np.unique(replica[cut & (server == place)]):
            stops = np.append(_stops(run, name, int(index)), run.horizon_s)
            members = cut & (replica == index) & (server == place)
            first = np.searchsorted(stops, started[members], "right")
            ends[members] = stops[np.minimum(first, stops.size - 1)]
    return ends


def _stops(run: Run, server: str, replica: int) -> Floats:
    """The instants at which outages stop the work of a replica: those that take it, and all that leave
    nothing, for a replica that was scaled in ends its batch until then. None with `in_flight: finish`."""
    if run.servers[server]["in_flight"] == "finish":
        return np.empty(0)
    at_s, usable = usable_steps(run, server)
    outages = find_outages(run)
    begins = np.unique([one.from_s for one in outages if one.slower is None and hits(run, one, server)])
    before = usable[np.maximum(np.searchsorted(at_s, begins, "left") - 1, 0)]
    after = usable[np.searchsorted(at_s, begins, "right") - 1]
    stops: Floats = begins[(after <= replica) & ((before > replica) | (after == 0))]
    return stops
