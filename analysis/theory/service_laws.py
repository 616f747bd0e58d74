"""The law of service times of a scenario: mean, variation, tails.
Below `analysis.theory.queues`; pure numbers, seconds."""

from __future__ import annotations

from math import gamma, inf, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc, ndtr

from analysis.run_folder.own_work import has_own_work
from analysis.run_folder.run import Run

Floats = NDArray[np.float64]
GAMMA, LOGNORMAL, WEIBULL, MEASURED = "gamma", "lognormal", "weibull", "empirical"


class Service(NamedTuple):
    """A batch of n takes base_s + per_item_s·n on average, times a factor of mean 1 and variation `cv`.

    law: of the factor; constant and exponential ones are Gamma. shape: of a Weibull law. fourth: E[S⁴]/E[S²]²
    of measured times, which tells how long a run must be to show their variance.
    """

    base_s: float
    per_item_s: float
    cv: float
    law: str = GAMMA
    shape: float = 1.0
    fourth: float = inf

    def mean_s(self, batch: int) -> float:
        return self.base_s + self.per_item_s * batch

    def of_full_batches_s(self, largest: int) -> float:
        """Replica time per request where all batches are full: what bounds the rate that can be served."""
        return self.mean_s(largest) / largest

    @property
    def is_gamma(self) -> bool:
        return self.law == GAMMA or self.cv == 0

    @property
    def is_exponential(self) -> bool:
        return self.cv == 1 and (self.law == GAMMA or (self.law == WEIBULL and self.shape == 1))

    def fourth_moment(self) -> float:
        """E[S⁴]/E[S²]²; 1 for a constant, 6 for an exponential time, inf where nobody knows."""
        if self.is_gamma:
            k = inf if self.cv == 0 else 1 / self.cv**2
            return 1.0 if k == inf else (k + 2) * (k + 3) / (k * (k + 1))
        if self.law == LOGNORMAL:
            return float((1 + self.cv**2) ** 4)
        if self.law == WEIBULL:
            return gamma(1 + 4 / self.shape) / gamma(1 + 2 / self.shape) ** 2
        return self.fourth

    def excess(self, t: Floats) -> Floats:
        """E[(S − t)⁺] of the factor S, in units of its mean, t >= 0 (n,): what is left at a random instant
        of a service exceeds t with this probability. For Gamma, lognormal and Weibull laws."""
        if self.cv == 0:
            return np.maximum(1.0 - t, 0.0)
        if self.law == LOGNORMAL:
            sigma = sqrt(np.log1p(self.cv**2))
            with np.errstate(divide="ignore"):
                z = (-(sigma**2) / 2 - np.log(t)) / sigma
            return np.asarray(ndtr(z + sigma) - t * ndtr(z))
        if self.law == WEIBULL:
            x = (t * gamma(1 + 1 / self.shape)) ** self.shape
            return np.asarray(gammaincc(1 + 1 / self.shape, x) - t * np.exp(-x))
        k = 1 / self.cv**2
        return np.asarray(gammaincc(k + 1, k * t) - t * gammaincc(k, k * t))


def service_law(run: Run) -> Service | None:
    """The law of a run's service; None for times from a file of unknown mean, and where each request has work
    of its own."""
    return None if has_own_work(run) else service_of(run.server["service"])


def _variation(law: dict[str, Any]) -> float:
    """The coefficient of variation; none where its square is lost beside 1."""
    cv = float(law["cv"])
    return cv if 1 + cv * cv > 1 else 0.0


def service_of(service: dict[str, Any]) -> Service | None:
    """The law of a scenario's service; None for times from a file of unknown mean, or a law that somebody
    brought."""
    if service["kind"] == "affine":
        return Service(float(service["base_s"]), float(service["per_item_s"]), _variation(service))
    time = service.get("time", {})
    if not isinstance(time, dict):
        return Service(float(time), 0.0, 0.0)
    if "mean_s" not in time or (time["kind"] not in ("exponential", WEIBULL) and "cv" not in time):
        return None
    mean_s, kind = float(time["mean_s"]), str(time["kind"])
    if kind == "exponential":
        return Service(mean_s, 0.0, 1.0)
    if kind == WEIBULL:
        shape = float(time["shape"])
        cv = sqrt(gamma(1 + 2 / shape) / gamma(1 + 1 / shape) ** 2 - 1)
        return Service(mean_s, 0.0, cv, WEIBULL, shape)
    law = kind if kind in (LOGNORMAL, MEASURED) else GAMMA
    return Service(mean_s, 0.0, _variation(time), law, fourth=float(time.get("fourth", inf)))
