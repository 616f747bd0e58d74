"""The times that chance decides for one send: over the link, in service, before a retry.
Keyed by (seed, purpose, request, attempt, trial): the same for every policy, with no position to keep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.registry.durations import Duration, constant_of, quantile
from sim.registry.service import Service
from sim.scenario.schema.fleet import Link, Retry
from sim.streams import Draws

Ids = NDArray[np.int64]
Seconds = NDArray[np.float64]


class Delay:
    """A duration drawn per (request, attempt); constants are not drawn at all."""

    __slots__ = ("_constant", "_draws", "_quantile")

    def __init__(self, seed: int, purpose: str, duration: Duration) -> None:
        self._draws = Draws(seed, purpose)
        self._constant = constant_of(duration)
        self._quantile = quantile(duration)

    def many(self, request_ids: Ids, attempt: int = 1) -> Seconds:
        """Seconds for many sends of one attempt number, shape (n,)."""
        if self._constant is not None:
            return np.full(len(request_ids), self._constant)
        return self._quantile(self._draws.many(request_ids, attempt))


class LinkDelays:
    """Up: latency + 8·payload/bandwidth, and the latencies of shared links; down: fresh latencies and no
    payload. What a payload takes on shared links, the loop finds out.

    over: the shared links on the way, by name with their latencies.
    """

    __slots__ = ("_transfer_s", "down", "latency_up", "over")

    def __init__(self, seed: int, link: Link, over: Sequence[tuple[str, Duration]] = ()) -> None:
        self.latency_up = Delay(seed, "uplink", link.latency)
        self.down = Delay(seed, "downlink", link.latency)
        self.over = tuple(
            (Delay(seed, f"uplink of {name}", latency), Delay(seed, f"downlink of {name}", latency))
            for name, latency in over
        )
        self._transfer_s = link.transfer_s

    def up_many(self, request_ids: Ids, attempt: int = 1) -> Seconds:
        """Uplink seconds of many sends of one attempt number, shape (n,)."""
        found = self.latency_up.many(request_ids, attempt) + self._transfer_s
        for up, _ in self.over:
            found = found + up.many(request_ids, attempt)
        return found

    def down_many(self, request_ids: Ids, attempt: int = 1) -> Seconds:
        """Downlink seconds, shape (n,)."""
        found = self.down.many(request_ids, attempt)
        for _, down in self.over:
            found = found + down.many(request_ids, attempt)
        return found


class ServiceTimes:
    """A batch of n takes `scale(n)·factor`, the factor keyed by its head's (request, attempt, trial). most:
    as many as may be in one, items where requests are blocks of some.

    mean: seconds that a batch of n takes on average, before the floor that follows.
    A draw that would take less than a microsecond takes one: no batch ends when it starts.
    """

    def __init__(self, seed: int, service: Service, most: int) -> None:
        self._draws = Draws(seed, "service")
        self.scale: list[float] = [service.scale_s(n) for n in range(most + 1)]
        mean_factor = service.mean_factor()
        self.mean = [scale * mean_factor for scale in self.scale]
        self.constant = service.constant()
        self._factor = service.factor()

    def factor_one(self, request_id: int, attempt: int, trial: int = 0) -> float:
        if self.constant is not None:
            return self.constant
        return float(self._factor(np.float64(self._draws.one(request_id, attempt, trial))))  # type: ignore[arg-type]

    def factor_many(self, request_ids: Ids, attempt: int = 1) -> Seconds:
        """Factors of many sends of one attempt number that head a batch, shape (n,)."""
        if self.constant is not None:
            return np.full(len(request_ids), self.constant)
        return self._factor(self._draws.many(request_ids, attempt))


class Backoff:
    """Before retry n = 1, 2, …: min(cap, backoff·factor^(n-1)), times U(0, 1) if jittered.

    steps: the seconds before jitter, in order of the attempts that fail.
    """

    __slots__ = ("draws", "is_jittered", "steps")

    def __init__(self, seed: int, retry: Retry) -> None:
        cap = np.inf if retry.cap_s is None else retry.cap_s
        tries = np.arange(retry.attempts, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            steps = np.minimum(retry.backoff_s * retry.factor**tries, cap)
        self.steps = steps.tolist() if retry.backoff_s else [0.0] * len(tries)  # 0·inf is not a time
        self.is_jittered = retry.jitter == "full"
        self.draws = Draws(seed, "backoff")
