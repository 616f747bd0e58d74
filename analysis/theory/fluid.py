"""A server's queue as a fluid: what flows in is sends and retries, what flows out is the capacity.
Pure functions of rates and capacities; `analysis.theory.backlog` holds them against a run."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Source:
    """What a group puts into the queue.

    first_hz: first sends per second at each step, (n,). spare_s: the longest wait with which an answer is in
    time. amplification: sends per request while none is. most_hz: what a circuit breaker lets through then.
    """

    first_hz: Floats
    spare_s: float
    amplification: float
    most_hz: float = inf

    def sends_hz(self, step: int, is_failing: bool) -> float:
        first = float(self.first_hz[step])
        return min(first * self.amplification, self.most_hz) if is_failing else first


@dataclass(frozen=True)
class Flow:
    """The fluid at the start of each step, (n,): waiting requests, sends per second, and of the first sends
    the share that will be answered in time (NaN where full queues leave it to luck)."""

    waiting: Floats
    sends_hz: Floats
    answered: Floats


def flow(
    sources: list[Source],
    capacity_hz: Floats,
    step_s: float,
    limit: float = inf,
    fills_while_down: bool = True,
    survives: bool = True,
) -> Flow:
    """dq/dt = Σ first_g·(amplification_g where the wait q/μ is too long, else 1) − μ, 0 ≤ q ≤ limit.

    capacity_hz: μ at each step, (n,). fills_while_down: requests wait while μ = 0, else they are turned away.
    survives: what waits is still there when μ comes back.
    """
    count = capacity_hz.size
    waiting, sends, answered = np.zeros(count), np.zeros(count), np.full(count, np.nan)
    queue = 0.0
    for step in range(count):
        capacity = float(capacity_hz[step])
        if capacity == 0 and not survives:
            queue = 0.0
        wait_s = queue / capacity if capacity > 0 else inf
        failing = [wait_s > source.spare_s for source in sources]
        inflow = sum(one.sends_hz(step, fails) for one, fails in zip(sources, failing, strict=True))
        waiting[step], sends[step] = queue, inflow
        first = sum(float(one.first_hz[step]) for one in sources)
        in_time = sum(
            float(one.first_hz[step]) for one, fails in zip(sources, failing, strict=True) if not fails
        )
        if first > 0 and (queue < limit or in_time == 0):
            answered[step] = in_time / first
        if capacity > 0 or fills_while_down:
            queue = min(max(queue + step_s * (inflow - capacity), 0.0), limit)
    return Flow(waiting, sends, answered)
