"""The autoscaler: at every tick as many replicas as would keep the busy ones at the target utilisation.
wanted = ceil(replicas · utilisation / target), as Kubernetes' horizontal pod autoscaler begins; by the load
of the whole interval, not of the moment (docs/semantics.md)."""

from __future__ import annotations

from math import floor
from typing import Any

from sim.engine.linking import handler

_UNITS = 1_000_000  # of a replica: 2.0000000001 is two


@handler
def measure(s: Any, now: Any) -> Any:
    """Adds up the replica-seconds that were busy, usable and there since the last tick. A replica that is not
    usable any more and only ends its batch is no part of the load. Asked before any of these changes."""
    span = now - s.measured_at
    s.busy_s += s.busy * span
    s.usable_s += max(0, s.replicas - s.taken) * span
    s.replica_s += s.replicas * span
    s.measured_at = now


@handler
def count_busy(w: Any, s: Any) -> Any:
    """Counts the usable replicas that work. Asked whenever others are usable than before."""
    s.busy = 0
    for replica in range(max(0, s.replicas - s.taken)):
        if w.replicas.size[s.first_replica + replica] > 0:
            s.busy += 1


@handler
def wanted(s: Any) -> Any:
    """How many replicas there should be, by what was measured since the last tick, which begins anew; -1 if
    nothing was usable: an outage says nothing about the traffic. Who steers from outside is obeyed."""
    found = -1
    if s.asked >= 0:
        found = min(max(s.asked, s.least), s.most)
    elif s.usable_s > 0.0:
        load = s.replica_s / s.interval_s * (s.busy_s / s.usable_s)
        units = int(floor(load / s.target_utilisation * _UNITS + 0.5))  # noqa: RUF046  (a float to Numba)
        found = min(max(-(-units // _UNITS), s.least), s.most)
    s.busy_s = s.usable_s = s.replica_s = 0.0
    return found


@handler
def order(w: Any, s: Any, ready_at: Any, target: Any) -> Any:
    """Orders what is missing, or cancels what is too much, the latest first; says how many were ordered."""
    more = target - s.replicas - s.coming
    for _ in range(more):
        w.coming[s.first_coming + s.coming] = ready_at
        s.coming += 1
    s.coming = min(s.coming, max(0, target - s.replicas))
    return more


@handler
def arrived(w: Any, s: Any, now: Any) -> Any:
    """Takes what is there by now off the order; gives how many."""
    there = 0
    while there < s.coming and w.coming[s.first_coming + there] <= now:
        there += 1
    s.coming -= there
    for place in range(s.coming):
        w.coming[s.first_coming + place] = w.coming[s.first_coming + place + there]
    return there
