"""Service: how long a batch takes, as a time by its size and a factor that is drawn.
`sim.world.delays` draws the factors; rules and advice ask for means."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from sim.registry.durations import PositiveDuration, Quantile, constant_of, gamma_factor, mean_s, quantile
from sim.registry.registry import Examples, Kind, PartFamily
from sim.scenario.schema.values import SpanOrZero, Variation


class ServiceLaw(Kind):
    """What a kind of service gives. The law: a batch of n takes `scale_s(n)` times a drawn factor."""

    kind: str

    def scale_s(self, n: float) -> float:
        """Seconds of a batch of n at a factor of 1."""
        raise NotImplementedError

    def mean_factor(self) -> float:
        """The factor on average. Raises BadFile if measured times cannot be read."""
        raise NotImplementedError

    def constant(self) -> float | None:
        """The factor if it does not vary at all, else None."""
        raise NotImplementedError

    def factor(self) -> Quantile:
        """The inverse distribution function of the factor, for uniform draws in (0, 1), shape (n,)."""
        raise NotImplementedError


SERVICES: PartFamily[ServiceLaw] = PartFamily("service", "law of service times", is_open=True)


@SERVICES.part
class Affine(ServiceLaw):
    """A batch of n takes (base_s + per_item_s·n)·G, G a Gamma factor of mean 1 and variation `cv`."""

    kind: Literal["affine"]
    examples: ClassVar[Examples] = {"affine": {"base_s": 0.05, "per_item_s": 0.01, "cv": 0.3}}
    base_s: SpanOrZero
    """Time of a batch whatever its size."""
    per_item_s: SpanOrZero = 0.0
    """Time per request in it."""
    cv: Variation = 0.0
    """Coefficient of variation of the Gamma factor; 0: none."""

    def scale_s(self, n: float) -> float:
        return self.base_s + self.per_item_s * n

    def mean_factor(self) -> float:
        return 1.0

    def constant(self) -> float | None:
        return 1.0 if self.cv == 0 else None

    def factor(self) -> Quantile:
        return gamma_factor(self.cv)


@SERVICES.part
class PerBatch(ServiceLaw):
    """A batch takes this time whatever its size."""

    kind: Literal["per_batch"]
    examples: ClassVar[Examples] = {"per_batch": {"time": 0.1}}
    time: PositiveDuration
    """Time of a batch: a number of seconds, or a distribution."""

    def scale_s(self, _n: float) -> float:
        return 1.0

    def mean_factor(self) -> float:
        return mean_s(self.time)

    def constant(self) -> float | None:
        return constant_of(self.time)

    def factor(self) -> Quantile:
        return quantile(self.time)


if TYPE_CHECKING:
    Service = ServiceLaw
else:
    Service = SERVICES.union()
