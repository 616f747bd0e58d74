"""What a law says about a run: numbers predicted, numbers simulated, and how sure the simulated ones are.
Made by the laws of this package; told by the summary, the report and the figure alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from analysis.run_folder.traffic import Traffic
from analysis.statistics.estimates import LEVEL, wilson
from analysis.statistics.in_time import BLOCKS, Span, mean_in_time

Floats = NDArray[np.float64]
LEAST_VALUES = 4 * BLOCKS  # of a mean over time


class Simulated(NamedTuple):
    """A simulated number and its 95% interval; NaN where the run does not tell."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Prediction:
    """One number: as the law has it, and as the simulation found it.

    where: the group or the time it is about; unit: a key of `analysis.reports.formatting.SHOWN_AS`; over and
    at: the quantity along which predictions of one name form a curve, and the place on it; margin: the error
    that the formula itself may have, in the unit of the number: 0 where it is exact; found: None where only
    theory speaks, between the points of a curve.
    """

    quantity: str
    where: str
    unit: str
    predicted: float
    simulated: Simulated | None
    over: str = ""
    at: float | None = None
    margin: float = 0.0

    @property
    def agrees(self) -> bool | None:
        """Whether the prediction lies in the interval, widened by the formula's own error; None: not known.

        What is infinite (a backlog that never ends) agrees with nothing but itself.
        """
        if self.simulated is None or np.isnan([self.predicted, *self.simulated]).any():
            return None
        if np.isinf(self.predicted) or np.isinf(self.simulated.value):
            return self.predicted == self.simulated.value
        return bool(self.simulated.low - self.margin <= self.predicted <= self.simulated.high + self.margin)


@dataclass(frozen=True)
class Law:
    """A law and the function that applies it to a run: None where its assumptions do not hold.

    fails: where it applies and is still no guide. knows: of what it knows beyond a plain server, in the words
    of `analysis.theory.what_there_is`; None: it sees to that itself.
    """

    title: str
    formula: str
    assumes: str
    source: str
    fails: str
    predict: Callable[[Traffic], list[Prediction] | None]
    knows: frozenset[str] | None = None


def reported(name: str, law: Law, predictions: list[Prediction]) -> dict[str, Any]:
    """The predictions of a law as the summary holds them."""
    words = {"law": name, "title": law.title, "formula": law.formula, "assumes": law.assumes}
    values = [
        {
            "quantity": one.quantity,
            "where": one.where,
            "unit": one.unit,
            "over": one.over,
            "at": one.at,
            "predicted": one.predicted,
            "margin": one.margin,
            "simulated": None if one.simulated is None else one.simulated.value,
            "low": None if one.simulated is None else one.simulated.low,
            "high": None if one.simulated is None else one.simulated.high,
            "agrees": one.agrees,
        }
        for one in predictions
    ]
    return {**words, "source": law.source, "fails": law.fails, "values": values}


def share_of(hits: int, count: int) -> Simulated:
    """A share of independent trials, with Wilson's interval."""
    if not count:
        return Simulated(np.nan, np.nan, np.nan)
    low, high = wilson(hits / count, float(count))
    return Simulated(hits / count, float(low), float(high))


def widened(simulated: Simulated, error: float) -> Simulated:
    """The same with an interval at least as wide as that of this standard error."""
    half = float(special.ndtri((1 + LEVEL) / 2)) * error
    return Simulated(
        simulated.value,
        float(np.minimum(simulated.low, simulated.value - half)),
        float(np.maximum(simulated.high, simulated.value + half)),
    )


def mean_of(values: Floats, more_variance: float = 0.0) -> Simulated:
    """The mean of independent values (n,), its variance widened by `more_variance`."""
    if values.size < 2:
        return Simulated(np.nan, np.nan, np.nan)
    return around(float(values.mean()), float(values.var(ddof=1)) / values.size + more_variance)


def around(value: float, variance: float) -> Simulated:
    """A value with the interval of a normal law of this variance."""
    half = float(special.ndtri((1 + LEVEL) / 2)) * float(np.sqrt(variance))
    return Simulated(value, value - half, value + half)


def mean_over_time(values: Floats, at_s: Floats, from_s: float, to_s: float) -> Simulated:
    """The mean of what happened at `at_s` in [from, to), both (n,), with the interval in time of any number
    (`analysis.statistics.in_time`); none where that has none, since it drifts, or for too few values."""
    inside = (at_s >= from_s) & (at_s < to_s)
    if inside.sum() < LEAST_VALUES:
        return Simulated(np.nan, np.nan, np.nan)
    told = values[inside]
    found = mean_in_time(told, np.ones_like(told), at_s[inside], Span(from_s, to_s))
    return Simulated(found.value, found.low, found.high)
