"""Times in sentences, as people say them."""

from __future__ import annotations

import math

import pytest

from analysis.reports.formatting import seconds
from analysis.time_in_words import between, rough, span

DAY = 86_400.0


@pytest.mark.parametrize(
    ("value_s", "of_s", "said"),
    [
        (420, None, "420 s"),
        (0.5, None, "0.5 s"),
        (13_000, None, "13,000 s"),
        (1800, 30 * DAY, "30 min"),
        (45, 30 * DAY, "45 s"),
        (DAY, None, "1 day"),
        (85_800, None, "23 h 50 min"),
        (30 * DAY, None, "30 days"),
        (1_324_567.3, None, "15 days 7 h 56 min 7.3 s"),
        (DAY - 0.02, None, "1 day"),
        (600.5, DAY, "10 min 0.5 s"),
    ],
)
def test_a_span_is_told_in_the_units_of_its_run(value_s: float, of_s: float | None, said: str) -> None:
    assert span(value_s, of_s) == said


@pytest.mark.parametrize(
    ("from_s", "to_s", "said"),
    [
        (60, 1200, "60 to 1,200 s"),
        (300, 420.5, "300 to 420.5 s"),
        (0, 30 * DAY, "0 to 30 days"),
        (DAY, 30 * DAY, "1 day to 30 days"),
        (30, 30 * DAY, "30 s to 30 days"),
        (3 * DAY + 5, 3 * DAY + 50, "3 days 5 s to 3 days 50 s"),
        (0, 0, "0 to 0 s"),
    ],
)
def test_two_instants_have_one_unit_where_both_are_in_seconds(from_s: float, to_s: float, said: str) -> None:
    assert between(from_s, to_s) == said


@pytest.mark.parametrize(
    ("value_s", "said"),
    [
        (10.9, "11 s"),
        (12_345.4, "12,345 s"),
        (49_839, "13 h 51 min"),
        (13_666_527, "158 days 4 h"),
        (math.inf, "more time than can be told"),
    ],
)
def test_estimates_have_no_more_digits_than_they_are_worth(value_s: float, said: str) -> None:
    assert rough(value_s) == said


@pytest.mark.parametrize(
    ("taken_s", "said"), [(0.05, "50 ms"), (0.9994, "999 ms"), (0.99996, "1.00 s"), (12.34, "12.3 s")]
)
def test_just_below_a_second_is_told_in_seconds(taken_s: float, said: str) -> None:
    """0.99996 s were told as 1e+03 ms."""
    assert seconds(taken_s) == said
