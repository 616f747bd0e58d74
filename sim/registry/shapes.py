"""Shapes of the arrival rate over time: each is its factor's integral, the inverse of that, and its peak.
A process runs at its constant law in operational time; its instants come out through the inverse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from math import cos, pi
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sim.registry.registry import Examples, Kind, PartFamily
from sim.scenario.schema.spoken import instant, seconds
from sim.scenario.schema.values import LONGEST_S, Instant, NonNegative, Positive, Share, Span, SpanOrZero

Instants = NDArray[np.float64]
Inverse = Callable[[Instants], Instants]

MOST_STEPS = 100  # bisection alone would be done after 64
ROUNDING = 4e-16  # of a period: what its sum of two terms may be wrong by


class RateShape(Kind):
    """What a kind of shape gives."""

    kind: str

    def operational_s(self, at_s: float) -> float:
        """Operational time at an instant: the integral of the shape's factor from 0 to `at_s`."""
        raise NotImplementedError

    def inverse(self) -> Inverse:
        """The inverse of `operational_s`, for arrays of any length.

        Each element is worked out for itself, so the result does not depend on what is asked beside it.
        """
        raise NotImplementedError

    def peak(self) -> float:
        """The most by which it multiplies the rate."""
        raise NotImplementedError

    def breaches(self) -> Iterator[tuple[str, Any, str]]:
        """Keys that do not go together, each with its value and the rule."""
        yield from ()


SHAPES: PartFamily[RateShape] = PartFamily("shape", "shape of the rate", is_open=True)


@SHAPES.part
class Constant(RateShape):
    """The rate stays as it is."""

    kind: Literal["constant"] = "constant"

    def operational_s(self, at_s: float) -> float:
        return at_s

    def inverse(self) -> Inverse:
        return lambda x: x

    def peak(self) -> float:
        return 1.0


@SHAPES.part
class Diurnal(RateShape):
    """The rate times 1 + amplitude·sin(2π(t − phase)/period): its mean is kept, and crossed at `phase_s`."""

    kind: Literal["diurnal"]
    examples: ClassVar[Examples] = {
        "diurnal": {"amplitude": 0.6, "period_s": 50.0, "phase_s": 11.0},
        "day_and_night": {"amplitude": 1.0, "period_s": 90.0},
    }
    amplitude: Share
    """Largest deviation from the mean rate, as a share of it."""
    period_s: Span
    """Length of a period."""
    phase_s: SpanOrZero = 0.0
    """When the rate rises through its mean."""
    peak_s: Instant | None = None
    """Instead: when it is at its peak, such as 20:00; resolved into `phase_s`."""

    @model_validator(mode="before")
    @classmethod
    def _by_its_peak(cls, written: Any) -> Any:
        """A peak comes a quarter of a period after the rise."""
        if not isinstance(written, dict) or "phase_s" in written:
            return written
        peak_s, period_s = instant(written.get("peak_s")), seconds(written.get("period_s"))
        if not all(isinstance(one, float | int) and not isinstance(one, bool) for one in (peak_s, period_s)):
            return written
        if period_s <= 0 or not 0 <= peak_s <= LONGEST_S:  # which the schema refuses
            return written
        return written | {"peak_s": None, "phase_s": float((peak_s - period_s / 4) % period_s)}

    def breaches(self) -> Iterator[tuple[str, Any, str]]:
        if self.peak_s is not None:
            yield "peak_s", self.peak_s, "says the same as phase_s: give one of them"

    def operational_s(self, at_s: float) -> float:
        turn = 2 * pi / self.period_s
        swing = cos(turn * self.phase_s) - cos(turn * (at_s - self.phase_s))
        return max(0.0, at_s + self.amplitude / turn * swing)

    def inverse(self) -> Inverse:
        """Kepler's equation: with τ = t − phase, x = t + a·(cos(ω·phase) − cos(ωτ)), a = amplitude/ω.

        Newton's steps from the middle of a bracket, replaced by bisection where they leave it: safe even
        with amplitude 1, where the rate touches zero once a period. Whole periods are taken off first.
        """
        turn = 2 * pi / self.period_s
        swing = self.amplitude / turn
        origin = self.phase_s + swing * cos(turn * self.phase_s)

        def to_virtual(x: Instants) -> Instants:
            into = x - origin
            periods = np.floor(into / self.period_s)
            into = into - periods * self.period_s
            return np.maximum(self.phase_s + periods * self.period_s + _solve(into, turn, swing), 0.0)

        return to_virtual

    def peak(self) -> float:
        return 1.0 + self.amplitude


@SHAPES.part
class FlashCrowd(RateShape):
    """The rate times `factor` in [at, at + for), times 1 else."""

    kind: Literal["flash_crowd"]
    examples: ClassVar[Examples] = {
        "flash_crowd": {"factor": 5.0, "at_s": 55.0, "for_s": 21.0},
        "lull": {"factor": 0.2, "at_s": 0.0, "for_s": 100.0},
    }
    factor: Positive
    """Factor on the rate."""
    at_s: Instant
    """When the crowd comes."""
    for_s: Span
    """How long it stays."""

    def operational_s(self, at_s: float) -> float:
        return at_s + (self.factor - 1) * min(max(at_s - self.at_s, 0.0), self.for_s)

    def inverse(self) -> Inverse:
        begins, lasts = self.at_s, self.factor * self.for_s

        def to_virtual(x: Instants) -> Instants:
            into = np.clip(x - begins, 0.0, lasts)
            after = np.maximum(x - begins - lasts, 0.0)
            return np.where(x < begins, x, begins + into / self.factor + after)

        return to_virtual

    def peak(self) -> float:
        return max(1.0, self.factor)


@SHAPES.part
class Profile(RateShape):
    """The rate times one factor after another, each for as long, and again from the first after the last:
    with 24 of an hour, an hourly profile of the day.
    """

    kind: Literal["profile"]
    examples: ClassVar[Examples] = {
        "profile": {"factors": (0.5, 2.0, 0.0, 1.0), "each_s": 21.0},
        "hours": {"factors": (1.0, 3.0)},
    }
    factors: Annotated[tuple[NonNegative, ...], Field(min_length=1)]
    """Factors on the rate; one may be 0."""
    each_s: Span = 3600.0
    """How long each holds."""

    @property
    def _upto(self) -> Instants:
        """Operational time at the edges of a period."""
        return np.concatenate([[0.0], np.cumsum(np.array(self.factors) * self.each_s)])

    def operational_s(self, at_s: float) -> float:
        upto, place = self._upto, at_s / self.each_s
        periods, into = divmod(place, len(self.factors))
        step = min(int(into), len(self.factors) - 1)
        return float(periods * upto[-1] + upto[step] + (into - step) * self.each_s * self.factors[step])

    def inverse(self) -> Inverse:
        """Within a step time passes evenly; one of factor 0 is passed over, since nothing comes in it."""
        upto, factors = self._upto, np.array(self.factors)
        span_s = self.each_s * len(factors)

        def to_virtual(x: Instants) -> Instants:
            periods = np.floor(x / upto[-1])
            into = np.clip(x - periods * upto[-1], 0.0, upto[-1])
            step = np.clip(np.searchsorted(upto, into, side="right") - 1, 0, len(factors) - 1)
            with np.errstate(divide="ignore", invalid="ignore"):
                within = np.where(factors[step] > 0, (into - upto[step]) / factors[step], 0.0)
            return np.asarray(periods * span_s + step * self.each_s + np.minimum(within, self.each_s))

        return to_virtual

    def peak(self) -> float:
        return max(self.factors)

    def breaches(self) -> Iterator[tuple[str, Any, str]]:
        if not any(self.factors):
            yield "factors", self.factors, "at least one factor must be greater than 0"


@SHAPES.part
class Ramp(RateShape):
    """The rate times a factor that goes in a straight line from each point to the next, and stays at the
    last; two points at one instant are a step."""

    kind: Literal["ramp"]
    examples: ClassVar[Examples] = {
        "ramp": {"points": ((20.0, 0.5), (60.0, 3.0), (60.0, 1.0))},
        "opening": {"points": ((10.0, 0.0), (40.0, 2.0))},
    }
    points: Annotated[tuple[tuple[Instant, NonNegative], ...], Field(min_length=1, max_length=10_000)]
    """Each an instant and a factor, in order; before the first its factor holds."""

    def _pieces(self) -> tuple[Instants, Instants, Instants, Instants]:
        """Of each stretch its begin, the factor there, its slope, and the operational time before it."""
        at, factor = np.array([(0.0, self.points[0][1]), *self.points]).T
        lasts = np.append(np.diff(at), np.inf)
        slope, area = np.diff(factor, append=factor[-1]) / np.where(lasts > 0, lasts, 1.0), np.zeros(len(at))
        area[1:] = np.cumsum(lasts[:-1] * (factor[:-1] + factor[1:]) / 2)
        some = lasts > 0
        return at[some], factor[some], slope[some], area[some]

    def operational_s(self, at_s: float) -> float:
        at, factor, slope, area = self._pieces()
        piece = int(np.searchsorted(at, at_s, side="right")) - 1
        into = at_s - at[piece]
        return float(area[piece] + into * (factor[piece] + slope[piece] * into / 2))

    def inverse(self) -> Inverse:
        """The root of a parabola within a stretch, written so that nothing cancels."""
        at, factor, slope, area = self._pieces()

        def to_virtual(x: Instants) -> Instants:
            piece = np.searchsorted(area, x, side="right") - 1
            rest, begins = x - area[piece], factor[piece]
            root = begins + np.sqrt(np.maximum(begins**2 + 2 * slope[piece] * rest, 0.0))
            into = np.where(root > 0, 2 * rest / np.where(root > 0, root, 1.0), 0.0)
            ends = np.append(at[1:], np.inf)[piece]
            return np.asarray(np.minimum(at[piece] + into, ends))

        return to_virtual

    def peak(self) -> float:
        return max(factor for _, factor in self.points)

    def breaches(self) -> Iterator[tuple[str, Any, str]]:
        if any(later[0] < one[0] for one, later in pairwise(self.points)):
            yield "points", self.points, "instants must not fall"
        if not self.points[-1][1]:
            yield "points", self.points, "the last factor must be greater than 0, since it stays"


if TYPE_CHECKING:
    Shape = RateShape
else:
    Shape = SHAPES.union()


def _solve(into: Instants, turn: float, swing: float) -> Instants:
    """τ with τ − swing·cos(turn·τ) = into, as exactly as that sum can be worked out."""
    found = into.copy()
    low, high = into - swing, into + swing
    enough = ROUNDING * 2 * pi / turn
    open_ = np.arange(len(into))
    for _ in range(MOST_STEPS):
        at = found[open_]
        excess = at - swing * np.cos(turn * at) - into[open_]
        far = np.abs(excess) > enough
        open_, at, excess = open_[far], at[far], excess[far]
        if not len(open_):
            break
        left = low[open_] = np.where(excess < 0, at, low[open_])
        right = high[open_] = np.where(excess > 0, at, high[open_])
        with np.errstate(divide="ignore", invalid="ignore"):
            step = at - excess / (1.0 + turn * swing * np.sin(turn * at))
        inside = (step > left) & (step < right)  # false for what is no number
        found[open_] = np.where(inside, step, left + (right - left) / 2)
    return found
