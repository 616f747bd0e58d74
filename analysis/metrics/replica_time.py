"""How much of a replica's time each attempt took; a batch that an outage cut short worked until then.
Below `analysis.run_folder.lean_requests`, which adds it up per request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.run_folder.outages import find_outages, replica_steps, usable_steps
from analysis.run_folder.run import Run

Floats = NDArray[np.float64]


def replica_seconds(run: Run, attempts: Mapping[str, NDArray[Any]]) -> Floats:
    """Seconds that each attempt took: its batch's time over the batch's size, 0 where it was never started.

    attempts: columns started_at_s, finished_at_s, replica, batch_size, each (n,).
    """
    started = attempts["started_at_s"]
    size = np.maximum(attempts["batch_size"].astype(np.float64), 1.0)
    ends = ends_at_s(run, attempts)
    in_flight = run.scenario["server"]["in_flight"]
    worked: Floats = np.maximum(ends - started, 0.0)
    if in_flight in ("resume", "restart"):
        worked = _worked(run, attempts, ends, goes_on=in_flight == "resume")
    seconds: Floats = np.nan_to_num(worked / size)
    return seconds


def _worked(run: Run, attempts: Mapping[str, NDArray[Any]], ends: Floats, goes_on: bool) -> Floats:
    """Seconds from its start to its end in which each attempt's replica worked and did not stand still;
    unless its batch goes on, those since the last stop: what came before was thrown away (`requeued_s` of the
    time line).
    """
    at_s, usable = usable_steps(run)
    there_at_s, there = replica_steps(run)
    there = there[np.searchsorted(there_at_s, at_s, "right") - 1]
    edges, started = np.append(at_s, run.horizon_s), attempts["started_at_s"]
    worked = np.zeros(len(started))
    for index in np.unique(attempts["replica"][~np.isnan(started)]):
        members = ~np.isnan(started) & (attempts["replica"] == index)
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
    for index in np.unique(replica[cut]):
        stops = np.append(_stops(run, int(index)), run.horizon_s)
        members = cut & (replica == index)
        ends[members] = stops[np.minimum(np.searchsorted(stops, started[members], "right"), stops.size - 1)]
    return ends


def _stops(run: Run, replica: int) -> Floats:
    """The instants at which outages stop the work of a replica: those that take it, and all that leave
    nothing, for a replica that was scaled in ends its batch until then. None where batches end all the
    same."""
    if run.scenario["server"]["in_flight"] in ("finish", "resume", "restart"):
        return np.empty(0)
    at_s, usable = usable_steps(run)
    outages = find_outages(run)
    begins = np.unique([one.from_s for one in outages if one.slower is None and one.target[:5] != "links"])
    before = usable[np.maximum(np.searchsorted(at_s, begins, "left") - 1, 0)]
    after = usable[np.searchsorted(at_s, begins, "right") - 1]
    stops: Floats = begins[(after <= replica) & ((before > replica) | (after == 0))]
    return stops
