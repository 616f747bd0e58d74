"""Intervals for what one run tells of a system that goes on, where neighbours in time are alike.
Batch means over a few long stretches; where a run is too short for its level, the number stands alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.percentiles import (
    CHANCE,
    Latencies,
    at_least,
    bounds_of_share,
    independent,
)
from analysis.statistics.pieces import Values, floats, pieces, stretches, total
from analysis.statistics.units import skewed_interval, variance_of
from analysis.time_in_words import rough

Floats = NDArray[np.float64]
Variance = Callable[[], float]  # found where it is needed
BLOCKS = 10
LEAST_RELAXATIONS = 100.0  # of any interval
TAIL_RELAXATIONS = 8.0  # that lie beyond a percentile, at least
LOOKS = 1.5  # independent ones that a relaxation time gives at a mean, at most
ALIKE = 0.55  # lag-1 correlation of the stretches that one of twenty independent runs exceeds
LAGS = 8  # neighbours that are looked at, as requests may take turns among servers
LEAST_UNLIKE = 100  # values that must differ from the others to show what neighbours share
MOST_LOOKED_AT = 400_000


class Interval(NamedTuple):
    """A number and its 95% interval; why: what speaks against an interval, None where there is one.

    NaN: no such number, or no bound on that side.
    """

    value: float
    low: float
    high: float
    why: str | None = None

    def as_dict(self) -> dict[str, float | str | None]:
        return self._asdict()


@dataclass(frozen=True)
class Span:
    """The time that numbers are about: [from_s, to_s).

    relaxation_s: in which the server forgets its state; tail: how much heavier than an exponential the
    service times are, (1 + cv²)/2, at least 1; against: what forbids any interval in time, None if nothing.
    """

    from_s: float
    to_s: float
    relaxation_s: float = 0.0
    tail: float = 1.0
    against: str | None = None

    @property
    def relaxations(self) -> float:
        """How many relaxation times it lasts: about as many independent looks it holds."""
        return (self.to_s - self.from_s) / self.relaxation_s if self.relaxation_s > 0 else np.inf

    def needed_s(self, level: float | None = None) -> float:
        """How long it would have to be for the interval of a percentile, or of a mean (None).

        A mean needs the fourth moment of the service, so heavy tails count cubed.
        """
        spared = self.tail**3 if level is None else self.tail
        return needed_relaxations(level) * spared * self.relaxation_s

    def too_short(self, level: float | None = None, of_difference: bool = False) -> str | None:
        """What speaks against an interval; None if nothing does. A difference needs four times as long."""
        if self.against is not None:
            return self.against
        needed_s = self.needed_s(level) * (4 if of_difference else 1)
        if self.to_s - self.from_s >= needed_s:
            return None
        return f"too short: an interval needs {rough(needed_s)}"

    def sums(self, influence: Floats | Values, at_s: Floats) -> Floats:
        """What each stretch adds to an estimate, of what each of (n,) adds at its instant; (BLOCKS,)."""
        of = influence if callable(influence) else influence.__getitem__
        block, found = self.block_of(at_s), np.zeros(BLOCKS)
        for places in pieces(at_s.size):
            found += np.bincount(block[places], of(places), BLOCKS)
        return found

    def block_of(self, at_s: Floats) -> NDArray[np.int8]:
        """The stretch of each instant, (n,), below BLOCKS; of the same instants as last time what it was."""
        of, block = self._last.get("block", (None, None))
        if of is not at_s or block is None:
            block = np.empty(at_s.size, dtype=np.int8)
            for places in pieces(at_s.size):
                place = (at_s[places] - self.from_s) / (self.to_s - self.from_s) * BLOCKS
                block[places] = np.clip(place.astype(np.int64), 0, BLOCKS - 1)
            self._last["block"] = at_s, block
        return block

    @cached_property
    def _last(self) -> dict[str, tuple[Floats, NDArray[np.int8]]]:
        return {}


def needed_relaxations(level: float | None = None) -> float:
    """How many relaxation times, of one run or of all seeds, an interval of a percentile or a mean needs."""
    return LEAST_RELAXATIONS if level is None else max(LEAST_RELAXATIONS, TAIL_RELAXATIONS / (1 - level))


def mean_in_time(
    parts: NDArray[Any],
    wholes: NDArray[Any],
    at_s: Floats,
    span: Span,
    more: Variance = lambda: 0.0,
    is_share: bool = False,
    least: float | None = None,
) -> Interval:
    """The sum of `parts` over that of `wholes`, of what happened at `at_s`; all (n,).

    Means of BLOCKS stretches, with Student's t corrected for their skewness (Willink 2005, as in Skart:
    Tafazzoli, Steiger and Wilson 2011); the variance is at least `least`, or `least_variance` of a number
    that crowds decide, and widened by `more`, that of other sources. is_share: of every whole a part between
    nothing and all of it, so that the run tells at least as much of it as of a share of requests.
    """
    part, whole = floats(parts), floats(wholes)
    all_told = total(whole, wholes.size)
    if all_told <= 0:
        return Interval(np.nan, np.nan, np.nan, "nothing to count")
    value = total(part, parts.size) / all_told
    looks = independent(span.relaxations, value, span.tail) if is_share else LOOKS * span.relaxations

    def influence(places: slice) -> Floats:
        return np.asarray((part(places) - value * whole(places)) / all_told)

    if (why := span.too_short()) is not None:
        return Interval(value, np.nan, np.nan, why)
    sums = span.sums(influence, at_s)
    if (why := alike(sums)) is not None:
        return Interval(value, np.nan, np.nan, why)
    least = least_variance(influence, looks, at_s.size) if least is None else least
    low, high = skewed_interval(value, max(variance_of(sums), least) + more(), sums)
    return Interval(value, low, high)


def rate_in_time(
    values: NDArray[Any], at_s: Floats, second_at_s: Floats, covered_s: Floats, span: Span
) -> Interval:
    """The sum per second of values between 0 and 1 of the requests, which came at `at_s`; both (n,).

    second_at_s, covered_s: when each second begins and how much of it there is, also of those without
    requests; (seconds,). Crowds have their part in what the mean value of a request is, and none in how many
    requests come.
    """
    per_second = np.zeros(second_at_s.size)
    for places in pieces(values.size):
        place = np.maximum(np.searchsorted(second_at_s, at_s[places], side="right") - 1, 0)
        per_second += np.bincount(place, weights=values[places], minlength=second_at_s.size)
    share, least = float(values.mean()) if values.size else 0.0, 0.0
    if 0 < share < 1:
        looks, covered = independent(span.relaxations, share, span.tail), float(covered_s.sum())
        least = least_variance(lambda places: (values[places] - share) / covered, looks, values.size)
    return mean_in_time(per_second, covered_s, second_at_s, span, least=least)


def share_in_time(
    hits: NDArray[Any], among: NDArray[Any], at_s: Floats, span: Span, more: Variance = lambda: 0.0
) -> Interval:
    """The share of `hits` in `among`, both 0 or 1 (n,).

    By the bounds of a share in as many independent trials as the stretches and the relaxation times tell of.
    """
    hit, inside = floats(hits), floats(among)
    asked = total(inside, among.size)
    if asked <= 0:
        return Interval(np.nan, np.nan, np.nan, "nothing to count")
    value = total(lambda places: hit(places) * inside(places), among.size) / asked
    if (why := span.too_short(0.5)) is not None:
        return Interval(value, np.nan, np.nan, why)
    sums = span.sums(lambda places: (hit(places) - value) * inside(places) / asked, at_s)
    if (why := alike(sums)) is not None:
        return Interval(value, np.nan, np.nan, why)
    kept = persistence(
        stretches(
            lambda places: hit(places) - value,
            among.size,
            lambda _, places: among[places] > 0,
            BLOCKS,
            MOST_LOOKED_AT,
        )
    )
    effective = _trials(value, variance_of(sums) + more(), asked, span, kept)
    return Interval(value, *bounds_of_share(value, effective, CHANCE, BLOCKS - 1))


def percentile_in_time(times: Latencies, level: float, span: Span) -> Interval:
    """The percentile of one run; low is what it is at least where the run cannot tell it.

    The ends are the percentiles at the bounds of the share below it (Woodruff 1952).
    """
    curve = times.curve
    value = curve.at(level)
    if times.taken_s.size == 0:
        return Interval(np.nan, np.nan, np.nan, "nothing to count")
    if np.isinf(value):
        return Interval(np.nan, np.nan, np.nan, "too few were answered at all")
    if np.isnan(value):
        least = at_least([times], level)
        open_at_end = f"too many are open at the end: at least {least:.4g} s"
        return Interval(np.nan, least, np.nan, open_at_end)
    why, sums = span.too_short(level), np.zeros(BLOCKS)
    if why is None:
        below = times.waits_at_most(value)
        share_below = np.count_nonzero(below) / below.size
        sums = span.sums(lambda places: below[places] - share_below, times.arrived_at_s)
        why = alike(sums)
    if why is not None:
        return Interval(value, np.nan, np.nan, why)
    effective = _trials(level, variance_of(sums / times.taken_s.size), float(times.taken_s.size), span)
    share = bounds_of_share(level, effective, CHANCE, BLOCKS - 1)
    low, high = curve.at(share.low), curve.at(share.high)
    if share.high > 1 - 0.5 / effective or not np.isfinite(high):
        return Interval(value, np.nan, np.nan, "too few requests beyond it for an interval")
    return Interval(value, low, high)


def _trials(share: float, variance: float, total: float, span: Span, kept: float = 1.0) -> float:
    shown = share * (1 - share) / variance if variance > 0 else total
    return max(1.0, min(shown, total, independent(span.relaxations, share, span.tail) / kept))


def least_variance(influence: Values, looks: float, count: int) -> float:
    """The variance of an estimate to which so many values add `influence`, in order of time, if crowds
    decided what neighbours have in common of them (`persistence`) and a run told as much of that as so many
    independent `looks`, LOOKS a relaxation time of a mean: what a run without a rare crowd does not show."""
    kept = persistence(stretches(influence, count, lambda values, _: values != 0, BLOCKS, MOST_LOOKED_AT))
    worth = min(float(count), looks / kept)
    return total(lambda places: influence(places) ** 2, count) * count / max(1.0, worth)


def persistence(parts: list[Floats]) -> float:
    """At most what share of the variance of values of mean zero, in order of time, neighbours have in common:
    near 1 of what a crowd decides, near 0 of what a policy, sample or client does; never 0.

    Three times the largest correlation at lags 1 to LAGS, less what chance makes of it; 1 where nearly all
    are the same, since what is rare does not show how it comes. parts: the `stretches` of them.
    """
    squares = [part**2 for part in parts]
    whole = float(sum(square.sum() for square in squares))
    fourth = float(sum((square**2).sum() for square in squares))
    if fourth <= 0 or whole**2 < LEAST_UNLIKE * fourth:
        return 1.0
    shared = max(sum(float((part[lag:] * part[:-lag]).sum()) for part in parts) for lag in range(1, LAGS + 1))
    error = 1 / np.sqrt(sum(part.size for part in parts))
    return float(min(1.0, 3 * max(shared / whole - error, error / 2)))


def alike(sums: Floats) -> str | None:
    """What to say where neighbouring stretches are too alike to be taken for independent."""
    centred = sums - sums.mean()
    square = float((centred**2).sum())
    if square <= 0 or float((centred[1:] * centred[:-1]).sum()) <= ALIKE * square:
        return None
    return "neighbouring tenths of the run are alike: it drifts, or is too short"
