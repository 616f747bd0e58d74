"""The vocabulary of values: constrained numbers, names and durations.
The parts of a scenario are built from these; `sim.world.durations` turns durations into seconds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

SHORTEST_S = 1e-6  # below this a span could vanish beside the clock: 1e9 s + 1e-8 s == 1e9 s
LONGEST_S = 1e9
MOST_TOKENS = 1e9  # of a bucket: more than any run has requests, and few enough to count in millionths
CHUNK_S = 60.0  # the unit of keyed arrivals; where ended rows are cut into parts is a multiple of it

Whole = Annotated[int, Field(ge=0, le=2**31 - 1)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
NonNegative = Annotated[float, Field(ge=0)]
ImageSize = Annotated[int, Field(ge=1, le=1_024)]  # pixels a side
Weight = Annotated[float, Field(ge=0, le=1e6)]  # sums of more could overflow
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
Instant = Annotated[float, Field(ge=0, le=LONGEST_S)]
Beat = Annotated[float, Field(ge=1e-3, le=LONGEST_S)]  # of what recurs: below, a run would do nothing else
Span = Annotated[float, Field(ge=SHORTEST_S, le=LONGEST_S)]
SpanOrZero = Annotated[float, Field(ge=0, le=LONGEST_S)]
Variation = Annotated[float, Field(ge=0, le=10)]  # beyond, most Gamma draws underflow
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]


class Part(BaseModel):
    """A part of a scenario: frozen, strict about types, closed to unknown keys and to NaN and infinity."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


class Exponential(Part):
    """Exponential durations."""

    kind: Literal["exponential"]
    mean_s: Span
    """Mean."""


class Lognormal(Part):
    """Lognormal durations."""

    kind: Literal["lognormal"]
    mean_s: Span
    """Mean, of the duration and not of its logarithm."""
    cv: Variation
    """Coefficient of variation: standard deviation over mean; 0 is constant."""


class Gamma(Part):
    """Gamma durations."""

    kind: Literal["gamma"]
    mean_s: Span
    """Mean."""
    cv: Variation
    """Coefficient of variation: standard deviation over mean; 0 is constant, 1 exponential."""


class Weibull(Part):
    """Weibull durations."""

    kind: Literal["weibull"]
    mean_s: Span
    """Mean."""
    shape: Annotated[float, Field(ge=0.1, le=100)]
    """Shape: below 1 the tail is heavier than exponential, 1 is exponential, above 1 lighter."""


class Empirical(Part):
    """One of the measured durations in a file, each as likely."""

    kind: Literal["empirical"]
    file: str
    """Text file with a duration in seconds a line, or the column `seconds` of a CSV or Parquet file."""


def _tag_of_duration(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("kind"))
    return getattr(value, "kind", "seconds")


def _duration(constant: Any) -> Any:
    return Annotated[
        Annotated[constant, Tag("seconds")]
        | Annotated[Exponential, Tag("exponential")]
        | Annotated[Lognormal, Tag("lognormal")]
        | Annotated[Gamma, Tag("gamma")]
        | Annotated[Weibull, Tag("weibull")]
        | Annotated[Empirical, Tag("empirical")],
        Discriminator(_tag_of_duration),
    ]


type_of_random = Exponential | Lognormal | Gamma | Weibull | Empirical
Duration = float | type_of_random  # what a duration is once read; the two below say how it may be written
PositiveDuration = _duration(Span)
DurationOrZero = _duration(SpanOrZero)
