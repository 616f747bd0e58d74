"""Periods from t = 0: which one an instant lies in, and when each begins; the one place that says so.
Plain arithmetic, so handlers may be compiled with it; numbers and NumPy arrays alike."""

from __future__ import annotations

from math import ceil, floor
from typing import Any

ROUNDING = 2.0**-50  # relative: three roundings of 2^-53 part a decimal from what a product of decimals gives


def begin_of(period: Any, per_s: float) -> Any:
    """When period 0, 1, 2, … begins, in s."""
    return period * per_s


def period_of(at_s: Any, per_s: Any) -> Any:
    """The period of an instant, a whole number: period n is [n·per_s, (n + 1)·per_s).

    The law: `period_of(begin_of(n, per_s), per_s)` is n for every n below 2^49, and so is the period of
    n·per_s written as a decimal: 0.3 begins period 3 of 0.1, though 3 · 0.1 > 0.3 and 0.3 / 0.1 < 3 here.
    """
    return floor(at_s / per_s * (1.0 + ROUNDING))


def periods_before(end_s: float, per_s: float) -> int:
    """How many periods begin before an instant."""
    return ceil(end_s / per_s * (1.0 - ROUNDING))
