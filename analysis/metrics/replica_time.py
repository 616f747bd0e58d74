"""How much of a replica's time each attempt took; a batch that an outage cut short worked until then.
Below `analysis.run_folder.lean_requests`, which adds it up per request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.run_folder.outages import find_outages, hits, replica_steps, usable_steps
from analysis.run_folder.run import Run

Floats = NDArray[np.float64]


def replica_seconds(run: Run, attempts: Mapping[str, NDArray[Any]]) -> Floats:
    """Seconds that each attempt took: its batch's time over the batch's size, 0 where it was never started.

    attempts: columns started_at_s, finished_at_s, replica, batch_size, each (n,); of several servers server,
    as its place among them.
    """
    started = attempts["started_at_s"]
    size = np.maximum(attempts["batch_size"].astype(np.float64), 1.0)
    ends = ends_at_s(run, attempts)
    worked: Floats = np.maximum(ends - started, 0.0)
    of_server = attempts.get("server", np.zeros(len(ends), dtype=np.int64))
    for place, (name, server) in enumerate(run.servers.items()):
        if server["in_flight"] in ("resume", "restart"):
            members = (of_server == place) & ~np.isnan(started)
            spans = attempts["replica"][members], started[members], ends[members]
            worked[members] = _worked(run, name, *spans, goes_on=server["in_flight"] == "resume")
        worked[of_server == place] /= server.get("stages", 1)  # each takes one stage of its replica at a time
    seconds: Floats = np.nan_to_num(worked / size)
    return seconds


def _worked(
    run: Run, server: str, replica: NDArray[Any], started: Floats, ends: Floats, goes_on: bool
) -> Floats:
    """Seconds from its start to its end in which each attempt's replica worked and did not stand still;
    unless its batch goes on, those since the last stop: what came before was thrown away (`requeued_s` of the
    time line).
    """
    at_s, usable = usable_steps(run, server)
    there_at_s, there = replica_steps(run, server)
    there = there[np.searchsorted(there_at_s, at_s, "right") - 1]
    edges, worked = np.append(at_s, run.horizon_s), np.zeros(len(started))
    for index in np.unique(replica):
        members = replica == index
        stands = (usable <= index) & ((index < there) | (usable == 0))
        begin, end = started[members], ends[members]
        if not goes_on and stands.any():
            again = edges[1:][stands]  # when it may have worked again
            last = again[np.maximum(np.searchsorted(again, end, "right") - 1, 0)]
            begin = np.where(last <= end, np.maximum(begin, last), begin)
        sums = np.append(0.0, np.cumsum(np.diff(edges) * ~stands))
        worked[members] = np.interp(end, edges, sums) - np.interp(begin, edges, sums)
    return worked


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
    nothing, for a replica that was scaled in ends its batch until then. None where batches end all the
    same."""
    if run.servers[server]["in_flight"] in ("finish", "resume", "restart"):
        return np.empty(0)
    at_s, usable = usable_steps(run, server)
    if run.servers[server].get("peers_of"):  # whom outages of links take, and leaving
        return at_s[1:][(usable[1:] <= replica) & (usable[:-1] > replica)]
    outages = find_outages(run)
    begins = np.unique([one.from_s for one in outages if one.slower is None and hits(run, one, server)])
    before = usable[np.maximum(np.searchsorted(at_s, begins, "left") - 1, 0)]
    after = usable[np.searchsorted(at_s, begins, "right") - 1]
    stops: Floats = begins[(after <= replica) & ((before > replica) | (after == 0))]
    return stops
