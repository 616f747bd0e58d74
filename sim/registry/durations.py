"""Durations: how long something takes, as a constant or one of these distributions, and how it is drawn.
A draw is the inverse of the distribution function at a uniform number: one draw gives one duration."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Field, Tag

from sim.registry.registry import Examples, Kind, PartFamily
from sim.scenario.files.samples import measured
from sim.scenario.schema.values import Span, SpanOrZero, Variation, as_it_stands

Quantile = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class RandomDuration(Kind):
    """What a kind of duration gives.

    The law: one value or an array of them pass through the same NumPy functions, so both come out the same to
    the last bit.
    """

    kind: str

    def mean(self) -> float:
        """Seconds on average. Raises BadFile if measured ones cannot be read."""
        return float(self.mean_s)  # type: ignore[attr-defined]

    def constant(self) -> float | None:
        """Seconds if it does not vary at all, else None."""
        return None

    def quantile(self) -> Quantile:
        """The inverse distribution function: uniform draws in (0, 1), shape (n,), to seconds, shape (n,)."""
        raise NotImplementedError

    def length_biased(self) -> Quantile:
        """The same of a duration that is met at a random instant: see `length_biased` below. Here from the
        quantile in 2^16 steps, for kinds that know nothing better."""
        values = self.quantile()((np.arange(1 << 16) + 0.5) / (1 << 16))
        upto = np.cumsum(values)
        return lambda u: np.interp(u, upto / upto[-1], values)


DURATIONS: PartFamily[RandomDuration] = PartFamily("duration", "duration", is_open=True)


@DURATIONS.part
class Exponential(RandomDuration):
    """Exponential durations."""

    kind: Literal["exponential"]
    examples: ClassVar[Examples] = {"exponential": {"mean_s": 0.4}}
    mean_s: Span
    """Mean."""

    def quantile(self) -> Quantile:
        return lambda u: -self.mean_s * np.log1p(-u)

    def length_biased(self) -> Quantile:
        gammaincinv = _special().gammaincinv
        return lambda u: self.mean_s * np.asarray(gammaincinv(2.0, u), dtype=np.float64)


@DURATIONS.part
class Lognormal(RandomDuration):
    """Lognormal durations."""

    kind: Literal["lognormal"]
    examples: ClassVar[Examples] = {
        "lognormal": {"mean_s": 0.03, "cv": 0.3},
        "wide": {"mean_s": 2.0, "cv": 1.5},
    }
    mean_s: Span
    """Mean, of the duration and not of its logarithm."""
    cv: Variation
    """Coefficient of variation: standard deviation over mean; 0 is constant."""

    def constant(self) -> float | None:
        return self.mean_s if self.cv == 0 else None

    def quantile(self) -> Quantile:
        sigma, ndtri = float(np.sqrt(np.log1p(self.cv * self.cv))), _special().ndtri
        return lambda u: self.mean_s * np.exp(sigma * ndtri(u) - sigma * sigma / 2)

    def length_biased(self) -> Quantile:
        longer, inverse = 1 + self.cv * self.cv, self.quantile()
        return lambda u: longer * inverse(u)


@DURATIONS.part
class Gamma(RandomDuration):
    """Gamma durations."""

    kind: Literal["gamma"]
    examples: ClassVar[Examples] = {"gamma": {"mean_s": 0.7, "cv": 0.5}, "bursts": {"mean_s": 0.7, "cv": 2.0}}
    mean_s: Span
    """Mean."""
    cv: Variation
    """Coefficient of variation: standard deviation over mean; 0 is constant, 1 exponential."""

    def quantile(self) -> Quantile:
        factor = gamma_factor(self.cv)
        return lambda u: self.mean_s * factor(u)

    def length_biased(self) -> Quantile:
        factor = length_biased_gamma_factor(self.cv)
        return lambda u: self.mean_s * factor(u)


@DURATIONS.part
class Weibull(RandomDuration):
    """Weibull durations."""

    kind: Literal["weibull"]
    examples: ClassVar[Examples] = {
        f"weibull {shape}": {"mean_s": 3.0, "shape": shape} for shape in (0.8, 1.0, 2.0, 0.5)
    }
    mean_s: Span
    """Mean."""
    shape: Annotated[float, Field(ge=0.1, le=100)]
    """Shape: below 1 the tail is heavier than exponential, 1 is exponential, above 1 lighter."""

    @property
    def scale_s(self) -> float:
        return self.mean_s / float(np.exp(_special().gammaln(1 + 1 / self.shape)))

    def quantile(self) -> Quantile:
        scale, power = self.scale_s, 1 / self.shape
        return lambda u: scale * np.power(-np.log1p(-u), power)

    def length_biased(self) -> Quantile:
        scale, power, gammaincinv = self.scale_s, 1 / self.shape, _special().gammaincinv
        return lambda u: scale * np.power(gammaincinv(1 + power, u), power)


@DURATIONS.part
class Empirical(RandomDuration):
    """One of the measured durations in a file, each as likely."""

    kind: Literal["empirical"]
    examples: ClassVar[Examples] = {"empirical": {"file": "seconds.csv"}}
    file: str
    """Text file with a duration in seconds a line, or the column `seconds` of a CSV or Parquet file."""

    def mean(self) -> float:
        return float(measured(self.file).mean())

    def quantile(self) -> Quantile:
        return _one_of(measured(self.file))

    def length_biased(self) -> Quantile:
        return _one_of(measured(self.file), by_length=True)


def _tag_of(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get(DURATIONS.tag))
    return getattr(value, DURATIONS.tag, "seconds")


def duration(constant: Any) -> Any:
    """The type of a key that may hold a duration: a number of this type, or any kind."""

    def union() -> Any:
        kinds = [Annotated[part, Tag(name)] for name, part in DURATIONS.items()]
        seconds = Annotated[constant, Tag("seconds")]
        return Annotated[reduce(or_, kinds, seconds), Discriminator(_tag_of)]

    return as_it_stands(union)


Duration = float | RandomDuration  # what a duration is once read; the two below say how it may be written
if TYPE_CHECKING:
    PositiveDuration = Duration
    DurationOrZero = Duration
else:
    PositiveDuration = duration(Span)
    DurationOrZero = duration(SpanOrZero)


def mean_s(duration: Duration) -> float:
    """The mean of a duration in seconds. Raises BadFile if measured ones cannot be read."""
    return float(duration) if isinstance(duration, float | int) else duration.mean()


def constant_of(duration: Duration) -> float | None:
    """Seconds if the duration is a constant, else None (a lognormal of no variation is a constant)."""
    return float(duration) if isinstance(duration, float | int) else duration.constant()


def quantile(duration: Duration) -> Quantile:
    """The inverse distribution function: uniform draws in (0, 1), shape (n,), to seconds, shape (n,)."""
    constant = constant_of(duration)
    if constant is not None or isinstance(duration, float | int):
        return lambda u: np.full(u.shape, constant)
    return duration.quantile()


def length_biased(duration: Duration) -> Quantile:
    """The inverse distribution function of a duration that is met at a random instant: long ones more often.

    Its density is x·f(x)/mean (Cox 1962, Renewal Theory, §5.4). What is left of it at that instant is a
    uniform share: where a process of such gaps has run for ever, this is the time to its next event.
    """
    constant = constant_of(duration)
    if constant is not None or isinstance(duration, float | int):
        return lambda u: np.full(u.shape, constant)
    return duration.length_biased()


NO_VARIATION = 1e-17  # below it every factor is 1 to the last bit, and 1 / cv² may be more than a float holds


def gamma_factor(cv: float) -> Quantile:
    """The inverse distribution function of a Gamma variable of mean 1 and coefficient of variation `cv`."""
    if cv < NO_VARIATION:
        return np.ones_like
    shape, gammaincinv = 1 / (cv * cv), _special().gammaincinv
    return lambda u: np.asarray(gammaincinv(shape, u) / shape, dtype=np.float64)


def length_biased_gamma_factor(cv: float) -> Quantile:
    """The same of a Gamma variable of mean 1 that is met at a random instant."""
    if cv < NO_VARIATION:
        return np.ones_like
    shape, gammaincinv = 1 / (cv * cv), _special().gammaincinv
    return lambda u: np.asarray(gammaincinv(shape + 1, u) / shape, dtype=np.float64)


def _special() -> Any:
    from scipy import special  # noqa: PLC0415  (a quarter of a second that reading a scenario does not need)

    return special


def _one_of(values: NDArray[np.float64], by_length: bool = False) -> Quantile:
    """The inverse of the values' step function: one of them, each as likely, or as likely as it is long."""
    n = len(values)
    if not by_length:
        return lambda u: values[np.minimum((u * n).astype(np.int64), n - 1)]
    upto = np.cumsum(values)
    return lambda u: values[np.minimum(np.searchsorted(upto, u * upto[-1], side="right"), n - 1)]
