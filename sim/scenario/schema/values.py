"""The vocabulary of values: constrained numbers and names, and what every part of a scenario is.
The lowest layer: parts here in the schema and the kinds of `sim.registry` are built from these."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from sim.scenario.schema.spoken import as_duration, as_instant, as_rate

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
Usd = Annotated[float, Field(ge=0, le=1e6)]
Watts = Annotated[float, Field(ge=0, le=1e6)]
MOST_JOULES = 1e9  # of an account: it counts in whole nanojoules
Joules = Annotated[float, Field(ge=1e-9, le=MOST_JOULES)]
if TYPE_CHECKING:
    Instant = float
    Beat = float
    Span = float
    SpanOrZero = float
    Bandwidth = float
else:
    Instant = as_instant(Annotated[float, Field(ge=0, le=LONGEST_S)])
    # Of what recurs: below, a run would do nothing else.
    Beat = as_duration(Annotated[float, Field(ge=1e-3, le=LONGEST_S)])
    Span = as_duration(Annotated[float, Field(ge=SHORTEST_S, le=LONGEST_S)])
    SpanOrZero = as_duration(Annotated[float, Field(ge=0, le=LONGEST_S)])
    Bandwidth = as_rate(Annotated[float, Field(ge=1)])
Variation = Annotated[float, Field(ge=0, le=10)]  # beyond, most Gamma draws underflow
NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME)]


class Part(BaseModel):
    """A part of a scenario: frozen, strict about types, closed to unknown keys and to NaN and infinity."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )
    in_order: ClassVar[list[type[Part]]] = []  # all of them, each after those that it is made of

    @classmethod
    def __pydantic_init_subclass__(cls, **_named: Any) -> None:
        cls.in_order.append(cls)


class AsItStands:
    """A type that is made anew whenever a schema is built with it; `made` says of what."""

    made: Callable[[], Any]

    @classmethod
    def __get_pydantic_core_schema__(cls, _of: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(cls.made())


def as_it_stands(made: Callable[[], Any]) -> Any:
    """Such a type."""
    return type("AsItStands", (AsItStands,), {"made": staticmethod(made)})
