"""Values as people say them: `10min`, `1h30min`, `03:00`, `2Mbit/s`; a scenario holds seconds and bits.
What is no such text passes through, for the schema to judge."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

SECONDS = {
    "us": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "min": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86_400),
    "w": Decimal(604_800),
}
BITS = {"bit/s": 1, "kbit/s": 10**3, "Mbit/s": 10**6, "Gbit/s": 10**9}
_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"
_UNIT = "(?:" + "|".join(SECONDS) + ")"
_DURATION = re.compile(rf"(?:{_NUMBER}\s*{_UNIT}\s*)+")
_PART = re.compile(rf"({_NUMBER})\s*({_UNIT})")
_CLOCK = re.compile(r"([01]?\d|2[0-3]|24(?=:00(?::00)?$)):([0-5]\d)(?::([0-5]\d))?")
_RATE = re.compile(rf"({_NUMBER})\s*({'|'.join(BITS)})")

DURATION_PATTERN = rf"^({_NUMBER}\s*{_UNIT}\s*)+$"
INSTANT_PATTERN = rf"^(({_NUMBER}\s*{_UNIT}\s*)+|([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?|24:00(:00)?)$"
RATE_PATTERN = rf"^{_NUMBER}\s*([kMG]?bit/s)$"


def seconds(value: Any) -> Any:
    """`10min` as 600.0, `1h30min` as 5400.0; anything else as it is."""
    if not isinstance(value, str) or not _DURATION.fullmatch(value.strip()):
        return value
    parts = _PART.findall(value)
    return float(sum(Decimal(number) * SECONDS[unit] for number, unit in parts))


def instant(value: Any) -> Any:
    """A duration since t = 0, or a time of the first day, whose midnight is t = 0: `20:30` as 73800.0."""
    at = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if at is None:
        return seconds(value)
    return float(3600 * int(at[1]) + 60 * int(at[2]) + int(at[3] or 0))


def bits_per_second(value: Any) -> Any:
    """`2Mbit/s` as 2000000.0; anything else as it is."""
    rate = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(Decimal(rate[1]) * BITS[rate[2]]) if rate else value


def as_duration(number: Any) -> Any:
    """The type of a number of seconds that may be written as a duration, too."""
    text = Annotated[str, Field(pattern=DURATION_PATTERN)]
    return Annotated[number, BeforeValidator(seconds, json_schema_input_type=number | text)]


def as_instant(number: Any) -> Any:
    """The type of an instant in seconds that may be written as a duration or a time of day, too."""
    text = Annotated[str, Field(pattern=INSTANT_PATTERN)]
    return Annotated[number, BeforeValidator(instant, json_schema_input_type=number | text)]


def as_rate(number: Any) -> Any:
    """The type of a number of bits per second that may be written with its unit, too."""
    text = Annotated[str, Field(pattern=RATE_PATTERN)]
    return Annotated[number, BeforeValidator(bits_per_second, json_schema_input_type=number | text)]
