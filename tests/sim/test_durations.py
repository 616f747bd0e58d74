"""Durations: the right mean and spread, and one value equal to an element of an array to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from scipy import stats
from scipy.special import gamma

from sim.registry.durations import (
    DURATIONS,
    DurationOrZero,
    constant_of,
    gamma_factor,
    length_biased,
    length_biased_gamma_factor,
    mean_s,
    quantile,
)
from sim.streams import stream
from sim.world.delays import Delay

read = TypeAdapter(DurationOrZero).validate_python


def weibull_cv(shape: float) -> float:
    first, second = gamma(1 + 1 / shape), gamma(1 + 2 / shape)
    return float(np.sqrt(second / first**2 - 1))


# Every kind as it may be written, but what reads a file: it has a test of its own.
KINDS = [written for written in DURATIONS.examples().values() if "file" not in written]
every_kind = pytest.mark.parametrize("written", KINDS, ids=str)

# The coefficient of variation that each has by its textbook.
VARIATIONS: dict[str, Callable[[Any], float]] = {
    "exponential": lambda _: 1.0,
    "lognormal": lambda written: written["cv"],
    "gamma": lambda written: written["cv"],
    "weibull": lambda written: weibull_cv(written["shape"]),
}


@every_kind
def test_mean_and_variation_are_those_asked_for(written):
    """The moments by quadrature over the quantiles: no luck, so the tolerance is that of the rule alone.

    The midpoint rule errs where the quantile runs off to infinity; substituting u = 3v² - 2v³ on both
    ends takes that away.
    """
    v = (np.arange(500_000) + 0.5) / 500_000
    weight = 6 * v * (1 - v)
    seconds = quantile(read(written))(v * v * (3 - 2 * v))
    mean = np.mean(seconds * weight)
    second = np.mean(seconds**2 * weight)
    assert mean == pytest.approx(mean_s(read(written)), rel=1e-4)
    if written["kind"] in VARIATIONS:
        cv = VARIATIONS[written["kind"]](written)
        assert np.sqrt(second - mean**2) / mean == pytest.approx(cv, rel=1e-3)


@every_kind
def test_a_quantile_grows_and_stays_finite(written):
    u = np.concatenate([[2.0**-53], np.linspace(0.001, 0.999, 999), [1 - 2.0**-53]])
    seconds = quantile(read(written))(u)
    assert np.all(np.diff(seconds) > 0)
    assert np.all(np.isfinite(seconds))
    assert np.all(seconds >= 0)


@pytest.mark.parametrize(
    ("written", "law"),
    [
        ({"kind": "exponential", "mean_s": 0.4}, stats.expon(scale=0.4)),
        ({"kind": "gamma", "mean_s": 0.7, "cv": 0.5}, stats.gamma(4, scale=0.7 / 4)),
        (
            {"kind": "weibull", "mean_s": 3.0, "shape": 2.0},
            stats.weibull_min(2.0, scale=3.0 / float(gamma(1.5))),
        ),
        (
            {"kind": "lognormal", "mean_s": 1.0, "cv": 1.0},
            stats.lognorm(np.sqrt(np.log(2)), scale=np.exp(-np.log(2) / 2)),
        ),
    ],
)
def test_the_law_is_the_textbooks(written, law):
    u = np.linspace(0.0005, 0.9995, 2000)
    assert quantile(read(written))(u) == pytest.approx(law.ppf(u), rel=1e-9)


@every_kind
def test_one_value_is_an_arrays_element_to_the_last_bit(written):
    """For lengths and offsets that leave vector instructions with a remainder."""
    inverse = quantile(read(written))
    u = stream(1, "durations").random(1037)
    whole = inverse(u)
    assert [float(inverse(np.float64(one))) for one in u.tolist()] == whole.tolist()
    for offset in (0, 1, 3):
        for length in (1, 2, 3, 5, 7, 9, 15, 17, 31):
            part = u[offset : offset + length]
            assert inverse(part).tolist() == whole[offset : offset + length].tolist()
    assert inverse(u[::3]).tolist() == whole[::3].tolist()


@every_kind
@given(ids=st.lists(st.integers(0, 2**40), min_size=1, max_size=20), attempt=st.integers(1, 100))
def test_a_delay_is_the_same_asked_alone_or_with_others(written, ids, attempt):
    delay = Delay(3, "uplink", read(written))
    alone = [delay.many(np.array([request]), attempt)[0] for request in ids]
    assert delay.many(np.array(ids), attempt).tolist() == alone


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(0.0, 0.0), (1.25, 1.25), ({"kind": "lognormal", "mean_s": 0.03, "cv": 0.0}, 0.03)],
)
def test_constants_are_not_drawn(written, seconds):
    duration = read(written)
    assert constant_of(duration) == seconds
    for inverse in (quantile(duration), length_biased(duration)):
        assert inverse(np.array([0.1, 0.9])).tolist() == [seconds, seconds]
    assert Delay(0, "uplink", duration).many(np.arange(3)).tolist() == [seconds] * 3


@every_kind
def test_what_varies_is_no_constant(written):
    assert constant_of(read(written)) is None


@every_kind
def test_what_is_met_at_a_random_instant_is_weighted_by_its_length(written):
    """P(met ≤ x) is the share of the mean that durations up to x make up: both from the quantiles."""
    inverse, biased = quantile(read(written)), length_biased(read(written))
    # Shares by the midpoint rule, fine where the quantile runs off: u = 1 - (1 - v)².
    v = (np.arange(400_000) + 0.5) / 400_000
    u = 1 - (1 - v) ** 2
    seconds = inverse(u)
    share = np.cumsum(seconds * 2 * (1 - v)) / len(v) / mean_s(read(written))
    for level in (0.01, 0.2, 0.5, 0.9, 0.99):
        x = biased(np.array([level]))[0]
        assert np.interp(x, seconds, share) == pytest.approx(level, abs=1e-4)


def test_measured_durations_are_drawn_as_they_are(tmp_path):
    """Each value of the file as likely as any other, none in between, one alone as among others."""
    (tmp_path / "a.csv").write_text("seconds\n0.5\n0.1\n0.1\n2\n")
    duration = read({"kind": "empirical", "file": str(tmp_path / "a.csv")})
    inverse = quantile(duration)
    u = np.array([2.0**-53, 0.2, 0.3, 0.499, 0.5, 0.7, 0.75, 1 - 2.0**-53])
    assert inverse(u).tolist() == [0.1, 0.1, 0.1, 0.1, 0.5, 0.5, 2.0, 2.0]
    assert [float(inverse(np.float64(one))) for one in u] == inverse(u).tolist()
    assert constant_of(duration) is None
    delay = Delay(3, "uplink", duration)
    seconds = delay.many(np.arange(20_000))
    assert delay.many(np.array([77])) == seconds[77]
    counts = np.unique(seconds, return_counts=True)[1]
    assert stats.chisquare(counts, [10_000, 5_000, 5_000]).pvalue > 1e-4
    met = np.unique(length_biased(duration)(stream(0, "met").random(20_000)), return_counts=True)[1]
    assert stats.chisquare(met, 20_000 / 2.7 * np.array([0.2, 0.5, 2.0])).pvalue > 1e-4


@pytest.mark.parametrize("cv", [0.1, 1.0, 3.0])
def test_the_factor_of_a_service_time_has_mean_one(cv):
    v = (np.arange(300_000) + 0.5) / 300_000
    factor = gamma_factor(cv)(v * v * (3 - 2 * v))
    assert np.mean(factor * 6 * v * (1 - v)) == pytest.approx(1.0, rel=1e-4)


def test_a_factor_without_variation_is_exactly_one():
    assert gamma_factor(0.0)(np.array([0.2, 0.7])).tolist() == [1.0, 1.0]


def test_a_variation_too_small_to_square_is_none() -> None:
    """The limit: below 1e-17 every factor is 1 to the last bit, as it comes out just above, too."""
    u = np.linspace(0.001, 0.999, 7)
    for factor in (gamma_factor, length_biased_gamma_factor):
        for cv in (1.1e-17, 0.9e-17, 1e-160, 1e-200, 5e-324):
            assert (factor(cv)(u) == 1.0).all(), cv
