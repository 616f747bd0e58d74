"""Percentiles of how long requests took, by one definition for runs, windows and runs pooled over seeds.
A percentile is the shortest time in which at least that share of the requests that arrived was answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from analysis.statistics.estimates import LEVEL, student
from analysis.statistics.pieces import AT_ONCE, pieces
from analysis.statistics.ranked import MOST_OPEN, Ranked
from analysis.statistics.room import laid_down, picked

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
LEVELS = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
LEAST_RUNS = 3  # of an interval over runs
CHANCE = (1 - LEVEL) / 2
NO_SHARE = 1e-12  # and less: an end of an interval that would be printed as 2.2e-308 is nothing
LEAST_INDEPENDENT = {0.99: 100.0}  # requests; with fewer there is no such percentile to speak of


@dataclass(frozen=True)
class Latencies:
    """How long the requests of one run took.

    arrived_at_s (n,); taken_s (n,), of single precision, too: inf where a request ended without an answer,
    NaN where it is still open at `end_s`, which tells only that it takes longer than that. relaxations: how
    many relaxation times of the server the run lasts, inf where requests do not meet there.
    """

    arrived_at_s: Floats
    taken_s: NDArray[Any]
    end_s: float
    relaxations: float = np.inf

    def among(self, mask: Mask) -> Latencies:
        if mask.all():
            return self
        return replace(self, arrived_at_s=picked(self.arrived_at_s, mask), taken_s=picked(self.taken_s, mask))

    @cached_property
    def curve(self) -> Curve | Ranked:
        """What `curve_of` gives of these alone; of many without putting all of them in order."""
        open_s = self.still_open_s
        if self.taken_s.size > AT_ONCE and open_s.size <= MOST_OPEN:
            ranked = Ranked(self.taken_s, open_s)
            if not ranked.has_negatives:
                return ranked
        return curve_of([self])

    @property
    def waited_s(self) -> Floats:
        """How long each has taken so far at least, (n,)."""
        return np.where(np.isnan(self.taken_s), self.end_s - self.arrived_at_s, self.taken_s)

    @property
    def still_open_s(self) -> Floats:
        """How long those that are still open have taken so far, (k,)."""
        found: Floats = self.end_s - self.arrived_at_s[np.isnan(self.taken_s)]
        return found

    def waits_at_most(self, limit_s: float) -> Mask:
        """Which of `waited_s` are within a limit, (n,)."""
        found = np.empty(self.taken_s.size, dtype=bool)
        for places in pieces(found.size):
            part = replace(self, arrived_at_s=self.arrived_at_s[places], taken_s=self.taken_s[places])
            found[places] = part.waited_s <= limit_s
        return found

    def independent(self, share: float) -> float:
        """As how many independent requests they tell at most of a share."""
        return min(float(self.taken_s.size), independent(self.relaxations, share))

    def within(self, limit_s: float) -> tuple[int, int]:
        """How many were answered within the limit, of how many of which that is known for certain: those
        that arrived at least the limit before the end."""
        known = self.arrived_at_s <= self.end_s - limit_s
        return int((self.taken_s[known] <= np.float64(limit_s)).sum()), int(known.sum())


def independent(relaxations: float, share: float, tail: float = 1.0) -> float:
    """As how many independent requests a run of so many relaxation times tells at most of a share.

    More of a half than of what is rare, if the service has no heavy `tail` (`Span`): a cap beside what
    the run itself shows, since one that happened to meet no crowd takes crowds for rare. Chosen by
    `benchmarks.coverage`.
    """
    return relaxations * (1 + 20 * share * (1 - share) / tail)


def latencies(
    arrived_at_s: Floats, taken_s: NDArray[Any], is_open: Mask, end_s: float, relaxations: float = np.inf
) -> Latencies:
    """Of requests whose time is NaN where they have no answer (n,); `is_open`: and may still get one."""
    infinite = taken_s.dtype.type(np.inf)

    def some(places: slice) -> NDArray[Any]:
        return np.where(np.isnan(taken_s[places]) & ~is_open[places], infinite, taken_s[places])

    taken = laid_down(some, taken_s.size, taken_s.dtype)
    return Latencies(np.asarray(arrived_at_s, dtype=np.float64), taken, end_s, relaxations)


class Curve(NamedTuple):
    """What share was answered within which time.

    instants (k,) rising, the share reached at each (k,); beyond: the time of a share that is never reached,
    inf (too few answers) or NaN (too many are open to tell).
    """

    instants: Floats
    reached: Floats
    beyond: float

    def at(self, level: float) -> float:
        """The shortest time within which a share `level` was answered, or `beyond`."""
        place = int(np.searchsorted(self.reached, level - 1e-9))
        return float(self.instants[place]) if place < self.instants.size else self.beyond


def curve_of(runs: Sequence[Latencies]) -> Curve:
    """Over the requests of all runs together.

    What is open is censored at the end of its run: the product-limit estimate (Kaplan and Meier 1958), which
    is the sample's own distribution where nothing is open.
    """
    every = [run.taken_s for run in runs]
    taken = every[0] if len(every) == 1 else np.concatenate([np.zeros(0), *every])
    values, ends = np.unique(taken[np.isfinite(taken)], return_counts=True)
    instants, is_open = values.astype(np.float64), np.isnan(taken)
    if not is_open.any():
        reached = np.cumsum(ends) / max(1, taken.size)
        return Curve(instants, reached, np.inf if taken.size else np.nan)
    censored = np.sort(np.concatenate([run.still_open_s for run in runs]))
    at_risk = taken.size - (np.cumsum(ends) - ends) - np.searchsorted(censored, instants, side="left")
    return Curve(instants, 1 - np.cumprod(1 - ends / at_risk), np.nan)


def percentile(runs: Sequence[Latencies], level: float) -> float:
    """The percentile over the requests of all runs; inf where too few are ever answered, NaN where too many
    are open to tell, or where there are none."""
    return curve_of(runs).at(level)


def number_of(runs: Sequence[float] | Sequence[Latencies], level: float | None = None) -> float:
    """The mean of numbers, or the percentile of all requests of the runs; NaN where it cannot be told."""
    if level is None:
        return float(np.mean(runs))  # type: ignore[arg-type]
    worth = sum(run.independent(level) for run in runs)  # type: ignore[union-attr,misc]
    value = percentile(runs, level)  # type: ignore[arg-type]
    return value if worth >= LEAST_INDEPENDENT.get(level, 0.0) and np.isfinite(value) else np.nan


def quantile(values: Floats, level: float) -> float:
    """The least of the values (n,), n > 0, that at least a share `level` of them do not exceed."""
    return float(np.sort(values)[_rank(level, values.size)])


def at_least(runs: Sequence[Latencies], level: float) -> float:
    """What the percentile cannot be below: as if every open request ended now; inf as in `percentile`."""
    waited = np.concatenate([run.waited_s for run in runs])
    return quantile(waited, level) if waited.size else float("nan")


def _rank(level: float, count: int) -> int:
    return max(0, int(np.ceil(level * count - 1e-9)) - 1)


class Bounds(NamedTuple):
    """The ends of an interval; inf or NaN where there is none on that side."""

    low: float
    high: float


def bounds_of_share(share: float, effective: float, chance: float, freedom: float = np.inf) -> Bounds:
    """Between which shares the true one lies, each end being wrong with the given chance.

    Clopper and Pearson's for as many independent trials as tell as much (`effective`), fewer where their
    number is itself estimated with few degrees of freedom (Korn and Graubard 1998).
    """
    trials = effective
    if np.isfinite(freedom):
        ratio = special.ndtri(1 - chance) / student(freedom, 1 - chance)
        trials = max(1.0, effective * float(ratio) ** 2)
    hits = share * trials
    low = float(special.betaincinv(hits, trials - hits + 1, chance)) if hits > 0 else 0.0
    high = float(special.betaincinv(hits + 1, trials - hits, 1 - chance)) if hits < trials else 1.0
    return Bounds(low if low > NO_SHARE else 0.0, high)


def effective_trials(runs: Sequence[Latencies], limits_s: Sequence[float]) -> float:
    """As how many independent requests the runs tell of the share answered within the limits: the fewest.

    By how the runs differ among themselves. A limit that all or none meet tells nothing of that.
    """
    found = []
    for limit_s in limits_s:
        hits, asked = np.array([run.within(limit_s) for run in runs], dtype=np.float64).T
        total = asked.sum()
        share = hits.sum() / total if total else 1.0
        if 0 < share < 1:
            variance = len(runs) / (len(runs) - 1) * float(((hits - share * asked) ** 2).sum()) / total**2
            found.append(min(total, share * (1 - share) / variance) if variance > 0 else total)
    return float(min(found)) if found else 0.0


def capped(runs: Sequence[Latencies], level: float, effective: float) -> float:
    """At most as many as the runs can tell by their length: short ones meet no rare crowd."""
    return min(effective, sum(run.independent(level) for run in runs))


def percentile_over_runs(
    runs: Sequence[Latencies], level: float, chance: float = CHANCE
) -> tuple[float, Bounds]:
    """The percentile over independent runs, and an interval each end of which is wrong with that chance.

    The ends are the percentiles at the bounds of the share that lies below the estimate (Woodruff 1952), from
    the runs as clusters; NaN where the runs do not bound it. No interval of fewer than LEAST_RUNS.
    """
    curve = curve_of(runs)
    value = curve.at(level)
    if len(runs) < LEAST_RUNS or not np.isfinite(value):
        return value, Bounds(np.nan, np.nan)
    effective = capped(runs, level, effective_trials(runs, [value]))
    share = bounds_of_share(level, effective, chance, len(runs) - 1)
    high = curve.at(share.high)
    bounded = share.high < 1 - 0.5 / max(effective, 1.0) and np.isfinite(high)
    return value, Bounds(curve.at(share.low), high if bounded else np.nan)
