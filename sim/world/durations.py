"""Durations: from a uniform draw in (0, 1) to seconds, by the inverse of the distribution function.
One draw gives one duration, so a duration is keyed exactly as its draw is; one value or an array of them
pass through the same NumPy functions, so both come out the same to the last bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, gammaln, ndtri

from sim.scenario.files.samples import measured
from sim.scenario.schema.values import Duration, Empirical, Exponential, Gamma, Lognormal, Weibull

Quantile = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def constant_of(duration: Duration) -> float | None:
    """Seconds if the duration is a constant, else None (a lognormal of no variation is a constant)."""
    if isinstance(duration, float | int):
        return float(duration)
    if isinstance(duration, Lognormal) and duration.cv == 0:
        return duration.mean_s
    return None


def mean_of(duration: Duration) -> float:
    """The mean in seconds."""
    constant = constant_of(duration)
    if constant is not None:
        return constant
    if isinstance(duration, Exponential | Lognormal | Gamma | Weibull):
        return duration.mean_s
    n = 100_000  # the mean of anything else is that of its quantiles
    return float(np.mean(quantile(duration)((np.arange(n) + 0.5) / n)))


def quantile(duration: Duration) -> Quantile:
    """The inverse distribution function: uniform draws in (0, 1), shape (n,), to seconds, shape (n,)."""
    constant = constant_of(duration)
    if constant is not None:
        return lambda u: np.full(u.shape, constant)
    match duration:
        case Exponential(mean_s=mean):
            return lambda u: -mean * np.log1p(-u)
        case Lognormal(mean_s=mean, cv=cv):
            sigma = float(np.sqrt(np.log1p(cv * cv)))
            return lambda u: mean * np.exp(sigma * ndtri(u) - sigma * sigma / 2)
        case Gamma(mean_s=mean, cv=cv):
            factor = gamma_factor(cv)
            return lambda u: mean * factor(u)
        case Weibull(mean_s=mean, shape=shape):
            scale = mean / float(np.exp(gammaln(1 + 1 / shape)))
            return lambda u: scale * np.power(-np.log1p(-u), 1 / shape)
        case Empirical(file=file):
            return _one_of(measured(file))
    raise TypeError(f"not a duration: {duration!r}")


def length_biased(duration: Duration) -> Quantile:
    """The inverse distribution function of a duration that is met at a random instant: long ones more often.

    Its density is x·f(x)/mean (Cox 1962, Renewal Theory, §5.4). What is left of it at that instant is a
    uniform share: where a process of such gaps has run for ever, this is the time to its next event.
    """
    constant = constant_of(duration)
    if constant is not None:
        return lambda u: np.full(u.shape, constant)
    match duration:
        case Exponential(mean_s=mean):
            return lambda u: mean * np.asarray(gammaincinv(2.0, u), dtype=np.float64)
        case Lognormal(cv=cv):
            longer, inverse = 1 + cv * cv, quantile(duration)
            return lambda u: longer * inverse(u)
        case Gamma(mean_s=mean, cv=cv):
            factor = length_biased_gamma_factor(cv)
            return lambda u: mean * factor(u)
        case Weibull(mean_s=mean, shape=shape):
            scale = mean / float(np.exp(gammaln(1 + 1 / shape)))
            return lambda u: scale * np.power(gammaincinv(1 + 1 / shape, u), 1 / shape)
        case Empirical(file=file):
            return _one_of(measured(file), by_length=True)
    raise TypeError(f"not a duration: {duration!r}")


def gamma_factor(cv: float) -> Quantile:
    """The inverse distribution function of a Gamma variable of mean 1 and coefficient of variation `cv`."""
    if cv == 0:
        return np.ones_like
    shape = 1 / (cv * cv)
    return lambda u: np.asarray(gammaincinv(shape, u) / shape, dtype=np.float64)


def length_biased_gamma_factor(cv: float) -> Quantile:
    """The same of a Gamma variable of mean 1 that is met at a random instant."""
    if cv == 0:
        return np.ones_like
    shape = 1 / (cv * cv)
    return lambda u: np.asarray(gammaincinv(shape + 1, u) / shape, dtype=np.float64)


def _one_of(values: NDArray[np.float64], by_length: bool = False) -> Quantile:
    """The inverse of the values' step function: one of them, each as likely, or as likely as it is long."""
    n = len(values)
    if not by_length:
        return lambda u: values[np.minimum((u * n).astype(np.int64), n - 1)]
    upto = np.cumsum(values)
    return lambda u: values[np.minimum(np.searchsorted(upto, u * upto[-1], side="right"), n - 1)]
