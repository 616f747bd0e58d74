"""One of each family that `l2h_fleet.register` takes."""

from __future__ import annotations

from typing import Any

import matplotlib.figure
import numpy as np

import l2h_fleet
from l2h_fleet import Arrivals, Duration, Law, Outage, Prediction, Ratio, Service, Shape, Simulated, register
from sim.world.outages.downtime import Downtime


@register("score", "gini")
def gini(log_probabilities: Any) -> Any:
    """1 - sum p^2."""
    return 1.0 - np.exp(2.0 * log_probabilities).sum(axis=1)


@register("loss", "squared")
def squared(scores: Any, client_correct: Any, server_correct: Any, costs: Any) -> Any:
    """The squares of what scores and costs come to."""
    return ((scores + costs) ** 2).sum(dim=-1)


@register("discipline", "newest_client")
def newest_client(waiting: Any) -> float:
    """The client of the largest number first."""
    return -1.0 * waiting.client


@register("choice", "last_first")
def last_first(one: Any) -> float:
    """The last option, unless its queue is longer than two."""
    return 1.0 * one.backlog if one.backlog > 2 else -1.0 * one.option


@register("arrivals", "metronome")
class Metronome(Arrivals):
    """Every client asks at every full beat."""

    beat_s: float = 2.0
    """Seconds from one to the next."""

    def instants(self, draw: np.random.Generator, client: int, from_s: float, until_s: float) -> Any:
        return self.beat_s * np.arange(np.ceil(from_s / self.beat_s), np.ceil(until_s / self.beat_s))

    def steady_rate_hz(self) -> float:
        return 1.0 / self.beat_s


@register("duration", "triangle")
class Triangle(Duration):
    """Rising from 0."""

    most_s: float
    """The longest."""

    def mean(self) -> float:
        return 2.0 * self.most_s / 3.0

    def quantile(self) -> Any:
        return lambda u: self.most_s * np.sqrt(u)


@register("service", "root")
class Root(Service):
    """A batch takes as the root of its size."""

    base_s: float

    def scale_s(self, n: float) -> float:
        return self.base_s * n**0.5

    def mean_factor(self) -> float:
        return 1.0

    def constant(self) -> float | None:
        return 1.0

    def factor(self) -> Any:
        return np.ones_like


@register("shape", "half")
class Half(Shape):
    """Half the rate, for as long as one likes."""

    def operational_s(self, at_s: float) -> float:
        return 0.5 * at_s

    def inverse(self) -> Any:
        return lambda x: 2.0 * x

    def peak(self) -> float:
        return 0.5


@register("outage", "last_tenth")
class LastTenth(Outage):
    """From 90 to 100 s."""

    def times(self, hit: Any) -> Any:
        return Downtime([(90.0, 100.0)]), {}


@register("metric", "asked_twice")
def asked_twice(traffic: Any) -> dict[str, int]:
    """Requests, doubled (count)."""
    return {"requests": 2 * len(traffic.requests)}


register(
    "metric",
    "kept_share",
    Ratio(
        "kept",
        "share",
        lambda traffic: (
            1.0 - traffic.requests["deferred"].to_numpy(dtype=float),
            np.ones(len(traffic.requests)),
        ),
    ),
)


@register("figure", "dots")
def dots(traffic: Any) -> Any:
    """Requests as dots.

    Each is one.
    """
    figure = matplotlib.figure.Figure(figsize=(4, 2))
    figure.subplots().plot(traffic.requests["arrived_at_s"], traffic.requests["client_id"], ".")
    return figure


register(
    "law",
    "beats",
    Law(
        "Beats",
        "N = T / beat",
        "metronomes",
        "counting",
        "never",
        lambda traffic: [
            Prediction("requests", "everywhere", "count", 1.0 * n, Simulated(1.0 * n, 1.0 * n, 1.0 * n))
            for n in [len(traffic.requests)]
        ],
    ),
)
assert l2h_fleet.__version__
