"""Periods: each begins where it says, by products and by decimals as files have them."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

from hypothesis import given
from hypothesis import strategies as st

from sim.periods import begin_of, period_of, periods_before

SPANS = st.decimals("0.001", 100_000, places=3)


@given(SPANS, st.integers(0, 10**9))
def test_a_period_begins_at_its_product_and_at_its_decimal(per_s, n):
    length = float(per_s)
    assert period_of(begin_of(n, length), length) == n
    assert period_of(float(per_s * n), length) == n


@given(SPANS, st.decimals(0, 10**9, places=4))
def test_a_decimal_lies_in_the_period_that_paper_says(per_s, at):
    assert period_of(float(at), float(per_s)) == floor(Fraction(at) / Fraction(per_s))
    assert periods_before(float(at), float(per_s)) == ceil(Fraction(at) / Fraction(per_s))


def test_every_tenth_of_a_second_begins_a_period():
    """The plain quotient puts one of three of the first thousand into the period before."""
    decimals = [float(Decimal(n) / 10) for n in range(1000)]
    assert [period_of(at, 0.1) for at in decimals] == list(range(1000))
    assert sum(int(at / 0.1) < n for n, at in enumerate(decimals)) > 50
