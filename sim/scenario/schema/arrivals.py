"""What a scenario says about when requests arrive at a client: a process, and a shape laid over it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.scenario.schema.values import (
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
    """Memoryless: exponential gaps."""

    kind: Literal["poisson"]
    rate_hz: Positive
    """Requests per second of each client."""


class GammaRenewal(Part):
    """Gaps are Gamma with this coefficient of variation; 0 is a strict beat of random phase per client."""

    kind: Literal["gamma"]
    rate_hz: Positive
    """Requests per second of each client."""
    cv: Variation
    """Coefficient of variation of the gaps: 0 a strict beat, 1 Poisson, above 1 bursts."""


class Mmpp(Part):
    """Poisson at the rate of the client's state; after an exponential stay comes the next state of the list,
    after the last the first.
    """

    kind: Literal["mmpp"]
    rates_hz: Annotated[tuple[NonNegative, ...], Field(min_length=2)]
    """Requests per second of each client, state by state; a rate may be 0."""
    mean_stay_s: Beat
    """Mean of the exponential stay in a state."""


class ClosedLoop(Part):
    """A client asks again a think time after the last word on its request before; for a constant shape."""

    kind: Literal["closed_loop"]
    think: PositiveDuration
    """Think time: a number of seconds, or a distribution."""


class TraceArrivals(Part):
    """Arrivals of a file at `time` · time_scale: 0.5 plays it twice as fast."""

    kind: Literal["trace"]
    file: str
    """CSV or Parquet with `time` in seconds, and if it has them `client`, numbered from 0 within the group,
    and `group`."""
    time_scale: Positive = 1.0
    """Factor on the instants of the file."""


Process = Annotated[Poisson | GammaRenewal | Mmpp | ClosedLoop | TraceArrivals, Field(discriminator="kind")]


class Constant(Part):
    """The rate stays as it is."""

    kind: Literal["constant"] = "constant"


class Diurnal(Part):
    """The rate times 1 + amplitude·sin(2π(t − phase)/period): its mean is kept, and crossed at `phase_s`."""

    kind: Literal["diurnal"]
    amplitude: Share
    """Largest deviation from the mean rate, as a share of it."""
    period_s: Span
    """Length of a period."""
    phase_s: SpanOrZero = 0.0
    """When the rate rises through its mean."""


class FlashCrowd(Part):
    """The rate times `factor` in [at, at + for), times 1 else."""

    kind: Literal["flash_crowd"]
    factor: Positive
    """Factor on the rate."""
    at_s: Instant
    """When the crowd comes."""
    for_s: Span
    """How long it stays."""


Shape = Annotated[Constant | Diurnal | FlashCrowd, Field(discriminator="kind")]


class Arrivals(Part):
    """When requests arrive at each client of a group."""

    process: Process
    """Law of the gaps between a client's requests."""
    shape: Shape = Constant()
    """How the rate changes over virtual time."""
