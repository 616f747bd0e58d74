"""What a scenario says about when requests arrive at a client: a process, and a shape laid over it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.scenario.values import (
    Instant,
    NonNegative,
    Part,
    Positive,
    PositiveDuration,
    Share,
    Span,
    SpanOrZero,
)


class Poisson(Part):
    kind: Literal["poisson"]
    rate_hz: Positive


class GammaRenewal(Part):
    kind: Literal["gamma"]
    rate_hz: Positive
    cv: Positive


class Mmpp(Part):
    kind: Literal["mmpp"]
    rates_hz: Annotated[tuple[NonNegative, ...], Field(min_length=2)]
    mean_stay_s: Span


class ClosedLoop(Part):
    kind: Literal["closed_loop"]
    think: PositiveDuration


class TraceArrivals(Part):
    kind: Literal["trace"]
    file: str
    time_scale: Positive = 1.0


Process = Annotated[Poisson | GammaRenewal | Mmpp | ClosedLoop | TraceArrivals, Field(discriminator="kind")]


class Constant(Part):
    kind: Literal["constant"] = "constant"


class Diurnal(Part):
    kind: Literal["diurnal"]
    amplitude: Share
    period_s: Span
    phase_s: SpanOrZero = 0.0


class FlashCrowd(Part):
    kind: Literal["flash_crowd"]
    factor: Positive
    at_s: Instant
    for_s: Span


Shape = Annotated[Constant | Diurnal | FlashCrowd, Field(discriminator="kind")]


class Arrivals(Part):
    process: Process
    shape: Shape = Constant()
