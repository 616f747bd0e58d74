"""Laws of up and down times that were fitted to failure traces: what the outage times `fitted` draw from.

Javadi, Kondo, Iosup and Epema (2013): "The Failure Trace Archive: Enabling the comparison of failure
measurements and models of distributed systems", J. Parallel Distrib. Comput. 73(8). Their Weibull fits, in
hours, as OpenDC has them built in (its failure models `G5k06Wbl` to `Websites02Wbl`).
"""

from __future__ import annotations

from math import gamma
from typing import TYPE_CHECKING, Literal, NamedTuple

from sim.registry.durations import Weibull

HOUR_S = 3600.0


class Fit(NamedTuple):
    """A Weibull law: shape and scale, in hours."""

    shape: float
    scale_h: float

    def scaled(self, by: float) -> Weibull:
        """Its times as durations, each times a factor."""
        mean_s = self.scale_h * HOUR_S * gamma(1 + 1 / self.shape) * by
        return Weibull.model_construct(kind="weibull", mean_s=mean_s, shape=self.shape)


# Up times, then down times.
FITS: dict[str, tuple[Fit, Fit]] = {
    "g5k06": (Fit(0.48, 14.37), Fit(0.35, 0.47)),
    "lanl05": (Fit(0.48, 816.60), Fit(0.58, 2.18)),
    "ldns04": (Fit(0.51, 79.30), Fit(0.63, 5.62)),
    "microsoft99": (Fit(0.55, 35.30), Fit(0.60, 9.34)),
    "pl05": (Fit(0.33, 19.35), Fit(0.36, 5.59)),
    "skype06": (Fit(0.64, 10.86), Fit(0.63, 9.48)),
    "websites02": (Fit(0.46, 3.68), Fit(0.65, 0.61)),
}

if TYPE_CHECKING:
    FitName = str
else:
    FitName = Literal[tuple(FITS)]
