"""What a server that is there takes, measured without load: batches by their size, and what lies around
them. A scenario with these numbers is held against live runs; nothing is fitted to those themselves."""

from __future__ import annotations

import asyncio
import math
import time
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from live.playing import LivePath
from sim.engine.wall_clock import Ask, Word
from sim.errors import BadInput

REPEATS = 20  # of each size of batch
WAITED_S = 30.0  # wall time for one burst


class Calibrated(NamedTuple):
    """Seconds of the run. base_s, per_item_s: of a batch of n, least squares through the medians.
    turnaround_s: from the end of a batch to the start of the next that waits; dispatch_s, return_s: from
    asking to being in the queue (before Ray Serve to the start of service, as its queue does not tell), and
    from the end of service to hearing of it; medians. sizes: (size, measured median, as drawn) of each."""

    base_s: float
    per_item_s: float
    turnaround_s: float
    dispatch_s: float
    return_s: float
    sizes: list[tuple[int, float, float]]

    def changes(self) -> dict[str, float]:
        """Of the scenario's service: a replica is taken from the start of a batch to that of the next."""
        return {"base_s": self.base_s + self.turnaround_s, "per_item_s": self.per_item_s}

    @property
    def each_way_s(self) -> float:
        """What a message takes longer than the scenario's link says, on average over there and back."""
        return max(0.0, (self.dispatch_s + self.return_s) / 2)


def calibrate(path: LivePath) -> Calibrated:
    """Measures the server of a path, which plays nothing yet. Raises BadInput for a service that is not
    `affine`, and for a server that does not answer."""
    plan = path.world.scenario
    if plan.one_server.service.kind != "affine":
        raise BadInput(f"server.service: only 'affine' is fitted, this is '{plan.one_server.service.kind}'")
    return path.loop.run_until_complete(_Measuring(path).measure())


class _Measuring:
    """Bursts at the server, one after the other."""

    def __init__(self, path: LivePath) -> None:
        self._path, self._heard = path, list[tuple[float, Word]]()
        self._next = 0
        path.real.hear = lambda word: self._heard.append((path.time.now(), word))

    async def measure(self) -> Calibrated:
        server, scale = self._path.world.scenario.one_server, self._path.world.stations[0].service.scale
        self._path.time.begin(0.0)
        self._path.real.begin()
        found: dict[int, list[float]] = {}
        dispatch, back, between = list[float](), list[float](), list[float]()
        for _ in range(REPEATS):
            for size in sorted({1, server.max_batch, (1 + server.max_batch) // 2}):
                left, words = await self._burst(size)
                for came, word in words:
                    found.setdefault(word.batch_size, []).append(word.finished_s - word.started_s)
                    back.append(came - word.finished_s)
                if size == server.max_batch:  # others wait for their batch to fill
                    dispatch.append(min(_in_queue(word) for _, word in words) - left)
            _, words = await self._burst(3 * server.replicas * server.max_batch)
            for _, word in words:  # most of them in full batches
                found.setdefault(word.batch_size, []).append(word.finished_s - word.started_s)
            between += _gaps([word for _, word in words])
        sizes = [(n, float(np.median(times)), scale[n]) for n, times in sorted(found.items())]
        per_item, base = _line([(n, measured) for n, measured, _ in sizes], scale)
        return Calibrated(
            base,
            per_item,
            float(np.median(between)) if between else 0.0,
            float(np.median(dispatch)),
            float(np.median(back)),
            sizes,
        )

    async def _burst(self, size: int) -> tuple[float, list[tuple[float, Word]]]:
        """So many at once, and what is said of them."""
        self._heard.clear()
        left, until = self._path.time.now(), time.monotonic() + WAITED_S
        for _ in range(size):
            self._path.real.ask(Ask(self._next, 1.0, 1.0, math.inf, self._next % self._path.samples))
            self._next += 1
        while len(self._heard) < size:
            if time.monotonic() > until:
                raise BadInput(f"the server answered {len(self._heard)} of {size} within {WAITED_S:g} s")
            await asyncio.sleep(0.001)
        return left, [one for one in self._heard if one[1].what == "answered"]


def _in_queue(word: Word) -> float:
    return word.started_s if math.isnan(word.came_s) else word.came_s


def _gaps(words: list[Word]) -> list[float]:
    """Between batches of one replica that follow each other."""
    batches = sorted({(word.replica, word.started_s, word.finished_s) for word in words})
    return [later[1] - sooner[2] for sooner, later in pairwise(batches) if sooner[0] == later[0]]


def _line(points: list[tuple[int, float]], scale: list[float]) -> tuple[float, float]:
    """Slope and intercept, neither below 0; of one size alone the scenario's slope."""
    if len(points) == 1:
        slope = scale[-1] - scale[-2]
        return slope, max(0.0, points[0][1] - slope * points[0][0])
    x, y = np.array(points, dtype=np.float64).T
    slope = max(0.0, float(np.polyfit(x, y, 1)[0]))
    return slope, max(0.0, float(np.mean(y - slope * x)))


def described(found: Calibrated) -> list[str]:
    """In words, a line each."""
    lines = [
        f"batch of {n}: {measured * 1e3:.2f} ms measured, {drawn * 1e3:.2f} ms by the scenario"
        for n, measured, drawn in found.sizes
    ]
    names: dict[str, Any] = found._asdict()
    return lines + [
        f"{name}: {names[name] * 1e3:.2f} ms"
        for name in ("base_s", "per_item_s", "turnaround_s", "dispatch_s", "return_s")
    ]
