"""What a scenario says about when requests arrive at a client: a process, and a shape laid over it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.scenario.values import (
    Beat,
    Instant,
    NonNegative,
    Part,
    Positive,
    PositiveDuration,
    Share,
    Span,
    SpanOrZero,
    Variation,
)


class Poisson(Part):
    kind: Literal["poisson"]
    rate_hz: Positive


class GammaRenewal(Part):
    """Gaps are Gamma with this coefficient of variation; 0 is a strict beat of random phase per client."""

    kind: Literal["gamma"]
    rate_hz: Positive
    cv: Variation


class Mmpp(Part):
    """Poisson at the rate of the client's state; after an exponential stay comes the next state of the list,
    after the last the first.
    """

    kind: Literal["mmpp"]
    rates_hz: Annotated[tuple[NonNegative, ...], Field(min_length=2)]
    mean_stay_s: Beat


class ClosedLoop(Part):
    kind: Literal["closed_loop"]
    think: PositiveDuration


class TraceArrivals(Part):
    """Arrivals of a file at `time` · time_scale: 0.5 plays it twice as fast."""

    kind: Literal["trace"]
    file: str
    time_scale: Positive = 1.0


Process = Annotated[Poisson | GammaRenewal | Mmpp | ClosedLoop | TraceArrivals, Field(discriminator="kind")]


class Constant(Part):
    kind: Literal["constant"] = "constant"


class Diurnal(Part):
    """The rate times 1 + amplitude·sin(2π(t − phase)/period): its mean is kept, and crossed at `phase_s`."""

    kind: Literal["diurnal"]
    amplitude: Share
    period_s: Span
    phase_s: SpanOrZero = 0.0


class FlashCrowd(Part):
    """The rate times `factor` in [at, at + for), times 1 else."""

    kind: Literal["flash_crowd"]
    factor: Positive
    at_s: Instant
    for_s: Span


Shape = Annotated[Constant | Diurnal | FlashCrowd, Field(discriminator="kind")]


class Arrivals(Part):
    process: Process
    shape: Shape = Constant()
