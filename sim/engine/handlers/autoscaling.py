"""The autoscaler: at every tick as many replicas as would keep the busy ones at the target utilisation.
wanted = ceil(replicas · utilisation / target), as Kubernetes' horizontal pod autoscaler begins; by the load
of the whole interval, not of the moment, or by the requests that are there (docs/semantics.md)."""

from __future__ import annotations

from math import floor
from typing import Any

from sim.engine.events import KEY_READY, READY
from sim.engine.handlers.primitives import put
from sim.engine.linking import handler

_UNITS = 1_000_000  # of a replica: 2.0000000001 is two


@handler
def measure(s: Any, now: Any) -> Any:
    """Adds up the replica-seconds that were busy, usable and there since the last tick. A replica that is not
    usable any more and only ends its batch is no part of the load. Asked before any of these changes."""
    span = now - s.measured_at
    s.busy_s += s.busy * span / s.stages
    s.usable_s += max(0, s.replicas - s.taken) * span
    s.replica_s += s.replicas * span
    s.measured_at = now


@handler
def count_busy(w: Any, s: Any) -> Any:
    """Counts the usable replicas that work. Asked whenever others are usable than before."""
    s.busy = 0
    for replica in range(max(0, s.replicas - s.taken) * s.stages):
        if w.replicas.size[s.first_replica + replica] > 0:
            s.busy += 1


@handler
def wanted(w: Any, s: Any, now: Any) -> Any:
    """How many replicas there should be, by what was measured since the last tick, which begins anew; -1 if
    nothing is decided: an outage says nothing about the traffic. Who steers from outside is obeyed."""
    found = -1
    if s.asked >= 0:
        found = within(s, s.asked)
    elif s.target_queue > 0.0:
        if s.usable_s > 0.0 or s.replicas == 0:
            found = needed(s, s.inside / s.target_queue)
    elif s.usable_s > 0.0:
        load = s.replica_s / s.interval_s * (s.busy_s / s.usable_s)
        found = needed(s, load / s.target_utilisation)
    s.busy_s = s.usable_s = s.replica_s = 0.0
    most = remember(w, s, found)
    if s.asked < 0:
        if now < s.changed_at + s.cool_down_s:
            return -1
        if found >= 0:
            found = max(found, min(s.replicas + s.coming, most))
    if found >= 0 and found != s.replicas + s.coming:
        s.changed_at = now
    return found


@handler
def needed(s: Any, share: Any) -> Any:
    """So many replicas, which need not be whole; as many as there are where that is near enough."""
    if abs(share - s.replicas) <= s.tolerance * s.replicas:
        return within(s, s.replicas)
    units = int(floor(share * _UNITS + 0.5))  # noqa: RUF046  (a float to Numba)
    return within(s, -(-units // _UNITS))


@handler
def within(s: Any, replicas: Any) -> Any:
    """Between the fewest and the most; never none while somebody is there."""
    return max(min(max(replicas, s.least), s.most), 1 if s.inside > 0 else 0)


@handler
def remember(w: Any, s: Any, found: Any) -> Any:
    """Notes what is wanted at this tick; gives the most at those that are remembered."""
    most, last = found, s.first_wanted + s.remembers - 1
    for place in range(s.first_wanted, last):
        w.wanted[place] = w.wanted[place + 1]
        most = max(most, w.wanted[place])
    w.wanted[last] = found
    return most


@handler
def order_first(w: Any, r: Any, s: Any, now: Any) -> Any:
    """Somebody has come where there is no replica, and none on order: one is."""
    s.changed_at = now
    order(w, s, now + s.provisioning_s, 1)
    put(w.events, r, now + s.provisioning_s, KEY_READY | s.number << 1, READY, s.number)


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
