"""The autoscaler: at every tick as many replicas as would keep the busy ones at the target utilisation.
The rule of Kubernetes' horizontal pod autoscaler: wanted = ceil(replicas · utilisation / target)."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from math import ceil

from sim.engine.board import KIND_OF, READY, SCALE, Board
from sim.engine.clock import Moment
from sim.engine.state import State
from sim.scenario.schema.server import Autoscaling

_PLACE = 1  # after outages, which change capacity at the same instant


class Meter:
    """Adds up the seconds that usable replicas were busy, were usable, and that replicas were there at all,
    since the last tick. One that is not usable any more and ends its batch is no part of the load.
    """

    def __init__(self, state: State) -> None:
        self._kept = state.scaling
        self._state = state
        self.count()

    def count(self) -> None:
        """Counts the usable replicas that work. Ask whenever others are usable than before."""
        self._busy = sum(1 for batch in self._state.batch_of[: self._state.usable] if batch)

    def measure(self, now: float, busy: int = 0) -> None:
        """Brings the sums up to now; from now on `busy` more work. Ask before other replicas are usable."""
        kept = self._kept
        span = now - kept.measured_at
        kept.busy_s += self._busy * span
        kept.usable_s += self._state.usable * span
        kept.replica_s += self._state.replicas * span
        kept.measured_at = now
        self._busy += busy

    def load(self, interval_s: float) -> float | None:
        """Replicas there were, times the share of the usable ones that was busy, on average since the last
        tick; then starts anew. None if nothing was usable: an outage says nothing about the traffic."""
        kept = self._kept
        found = kept.replica_s / interval_s * (kept.busy_s / kept.usable_s) if kept.usable_s > 0 else None
        kept.busy_s = kept.usable_s = kept.replica_s = 0.0
        return found


def scaling(board: Board, rule: Autoscaling, meter: Meter, change: Callable[[float, int], None]) -> None:
    """Handles ticks and the arrival of what was ordered. change: (now, replicas from now on)."""
    state, kept, heap = board.state, board.state.scaling, board.clock.heap

    def tick(now: float, _: int) -> None:
        meter.measure(now)
        load = meter.load(rule.interval_s)
        if load is None:
            return
        needed = ceil(round(load / rule.target_utilisation, 6))  # 2.0000000001 is two
        wanted = min(max(needed, rule.min), rule.max)
        more = wanted - state.replicas - len(kept.coming)
        ready_at = now + rule.provisioning_s
        kept.coming += [ready_at] * more
        del kept.coming[max(0, wanted - state.replicas) :]  # the last ordered are the first to be cancelled
        if wanted < state.replicas:
            change(now, wanted)
        if more > 0:
            if ready_at > now:
                wait_for(ready_at)
            else:
                ready(now, 0)

    def ready(now: float, _: int) -> None:
        there = sum(1 for at in kept.coming if at <= now)
        if there:
            del kept.coming[:there]
            change(now, state.replicas + there)

    def wait_for(ready_at: float) -> None:
        heappush(heap, (ready_at, KIND_OF[READY], _PLACE, Moment(board.callbacks[READY], 0)))

    board.handle(SCALE, tick)
    board.handle(READY, ready)
    for ready_at in sorted(set(kept.coming)):
        wait_for(ready_at)
