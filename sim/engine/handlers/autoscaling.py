"""The autoscaler: at every tick as many replicas as would keep the busy ones at the target utilisation.
wanted = ceil(replicas · utilisation / target), as Kubernetes' horizontal pod autoscaler begins; by the load
of the whole interval, not of the moment (docs/semantics.md)."""

from __future__ import annotations

from math import floor
from typing import Any

from sim.engine.linking import handler

_UNITS = 1_000_000  # of a replica: 2.0000000001 is two


@handler
def measure(r: Any, now: Any) -> Any:
    """Adds up the replica-seconds that were busy, usable and there since the last tick. A replica that is not
    usable any more and only ends its batch is no part of the load. Asked before any of these changes."""
    span = now - r.measured_at
    r.busy_s += r.busy * span
    r.usable_s += max(0, r.replicas - r.taken) * span
    r.replica_s += r.replicas * span
    r.measured_at = now


@handler
def count_busy(w: Any, r: Any) -> Any:
    """Counts the usable replicas that work. Asked whenever others are usable than before."""
    r.busy = 0
    for replica in range(max(0, r.replicas - r.taken)):
        if w.replicas.size[replica] > 0:
            r.busy += 1


@handler
def wanted(w: Any, r: Any) -> Any:
    """How many replicas there should be, by what was measured since the last tick, which begins anew; -1 if
    nothing was usable: an outage says nothing about the traffic. Who steers from outside is obeyed."""
    found = -1
    if w.terms.asked >= 0:
        found = min(max(w.terms.asked, w.terms.least), w.terms.most)
    elif r.usable_s > 0.0:
        load = r.replica_s / w.terms.interval_s * (r.busy_s / r.usable_s)
        units = int(floor(load / w.terms.target_utilisation * _UNITS + 0.5))  # noqa: RUF046  (a float to Numba)
        found = min(max(-(-units // _UNITS), w.terms.least), w.terms.most)
    r.busy_s = r.usable_s = r.replica_s = 0.0
    return found


@handler
def order(w: Any, r: Any, ready_at: Any, target: Any) -> Any:
    """Orders what is missing, or cancels what is too much, the latest first; says how many were ordered."""
    more = target - r.replicas - r.coming
    for _ in range(more):
        w.coming[r.coming] = ready_at
        r.coming += 1
    r.coming = min(r.coming, max(0, target - r.replicas))
    return more


@handler
def arrived(w: Any, r: Any, now: Any) -> Any:
    """Takes what is there by now off the order; gives how many."""
    there = 0
    while there < r.coming and w.coming[there] <= now:
        there += 1
    r.coming -= there
    for place in range(r.coming):
        w.coming[place] = w.coming[place + there]
    return there
