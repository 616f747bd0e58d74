"""A server's queue as a fluid: what flows in is sends and retries, what flows out is the capacity.
Pure functions of rates and capacities; `analysis.theory.backlog` holds them against a run."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Source:
    """What a group puts into the queue.

    first_hz: first sends per second at each step, (n,). spare_s: the longest wait with which an answer is in
    time. passes: of the first, second, ... sends that fail, the share that is sent again; delays_s: how long
    after, and errors_s: how long after if an error tells so at once; all of one length. most_hz: what a
    circuit breaker lets through while sends fail; then nothing is sent again.
    """

    first_hz: Floats
    spare_s: float
    passes: tuple[float, ...] = ()
    delays_s: tuple[float, ...] = ()
    errors_s: tuple[float, ...] = ()
    most_hz: float = inf


@dataclass(frozen=True)
class Flow:
    """The fluid at the start of each step, (n,): waiting requests, sends per second, and of the first sends
    the share that will be answered in time (NaN where full queues leave it to chance)."""

    waiting: Floats
    sends_hz: Floats
    answered: Floats


def flow(
    sources: list[Source],
    capacity_hz: Floats,
    step_s: float,
    limit: float = inf,
    when_down: str = "queue",
    survives: bool = True,
) -> Flow:
    """dq/dt = sends − μ, 0 ≤ q ≤ limit: first sends, and those that failed so long ago as their retry waits.

    A send fails if the wait before it, q/μ, is too long, or no replica works. capacity_hz: μ at each step,
    (n,). when_down: as in a scenario; survives: what waits is still there when μ comes back.
    """
    count = capacity_hz.size
    waiting, sends, answered = [0.0] * count, [0.0] * count, [nan] * count  # quicker than arrays, one by one
    groups = [_Group(source, count, step_s) for source in sources]
    first_hz = [sum(each) for each in zip(*(one.first_hz for one in groups), strict=True)] or [0.0] * count
    soonest_s = min((one.spare_s for one in groups), default=inf)
    queue = 0.0
    for step, capacity in enumerate(capacity_hz.tolist()):
        if capacity == 0 and not survives:
            queue = 0.0
        wait_s = queue / capacity if capacity > 0 else inf
        is_told = capacity == 0 and when_down == "refuse"
        inflow = sum([one.send(step, wait_s, is_told) for one in groups])
        waiting[step], sends[step] = queue, inflow
        first = in_time = first_hz[step]
        if wait_s > soonest_s:
            in_time = sum([one.first_hz[step] for one in groups if wait_s <= one.spare_s])
        if first > 0 and (queue < limit or in_time == 0):
            answered[step] = in_time / first
        if capacity > 0 or when_down == "queue":
            queue = min(max(queue + step_s * (inflow - capacity), 0.0), limit)
    return Flow(np.array(waiting), np.array(sends), np.array(answered))


class _Group:
    """A source and the retries that are due, by attempt and step."""

    def __init__(self, source: Source, count: int, step_s: float) -> None:
        self.first_hz: list[float] = np.broadcast_to(source.first_hz, count).tolist()
        self.spare_s = source.spare_s
        self._passes, self._most_hz, self._count = source.passes, source.most_hz, count
        self._due: list[list[float]] = [self.first_hz, *([0.0] * count for _ in source.passes)]
        self._delays, self._errors = (
            [round(delay / step_s) for delay in delays] for delays in (source.delays_s, source.errors_s)
        )

    def send(self, step: int, wait_s: float, is_told: bool) -> float:
        """Sends per second at this step; plans the retries of what fails."""
        due = self._due
        if wait_s > self.spare_s and self._most_hz < inf:
            return min(sum([each[step] for each in due]), self._most_hz)
        if wait_s > self.spare_s:
            for attempt, share in enumerate(self._passes):
                again = step + (self._errors if is_told else self._delays)[attempt]
                if again < self._count:
                    due[attempt + 1][again] += share * due[attempt][step]
        return sum([each[step] for each in due])
