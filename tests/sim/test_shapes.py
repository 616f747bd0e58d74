"""Shapes: operational time and its inverse undo each other, in order, each element for itself."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from arrival_kinds import SHAPES
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from scipy.integrate import quad

from sim.registry.shapes import Diurnal, Shape
from sim.world.arrivals.renewals import never_back

read = TypeAdapter(Shape).validate_python
every_shape = pytest.mark.parametrize("shape", list(map(read, SHAPES.values())), ids=list(SHAPES))

diurnals = st.builds(
    Diurnal,
    kind=st.just("diurnal"),
    amplitude=st.sampled_from([0.0, 0.5, 0.999999, 1.0]) | st.floats(0.0, 1.0),
    period_s=st.floats(-3, 5).map(lambda e: 10.0**e),
    phase_s=st.floats(0.0, 1e5),
)


def factor(shape: Shape, t: float) -> float:
    """What the rate is multiplied by, written down a second time."""
    if shape.kind == "diurnal":
        return 1 + shape.amplitude * np.sin(2 * np.pi * (t - shape.phase_s) / shape.period_s)
    if shape.kind == "profile":
        return shape.factors[int(t // shape.each_s) % len(shape.factors)]
    if shape.kind == "ramp":
        for (begin, low), (end, high) in pairwise(shape.points):
            if begin <= t < end:
                return low + (high - low) * (t - begin) / (end - begin)
        return shape.points[0 if t < shape.points[0][0] else -1][1]
    if shape.kind == "flash_crowd" and shape.at_s <= t < shape.at_s + shape.for_s:
        return shape.factor
    return 1.0


@every_shape
@pytest.mark.parametrize("t", [0.0, 3.0, 55.0, 60.0, 76.0, 99.0, 171.0])
def test_operational_time_is_the_integral_of_the_factor(shape, t):
    steps = (10.0, 20.0, 40.0, 55.0, 60.0, 76.0, 100.0, *(21.0 * n for n in range(1, 9)))
    edges = sorted(edge for edge in steps if edge < t)
    integral = quad(lambda u: factor(shape, u), 0, t, points=edges or None, epsabs=1e-10, limit=200)[0]
    assert shape.operational_s(t) == pytest.approx(integral, abs=1e-7)
    assert factor(shape, t) <= shape.peak() + 1e-12


@every_shape
def test_the_inverse_undoes_operational_time(shape):
    x = np.sort(np.random.default_rng(0).random(5000)) * 500
    t = shape.inverse()(x)
    assert np.all(np.diff(t) >= 0)
    assert [shape.operational_s(at) for at in t.tolist()] == pytest.approx(x.tolist(), rel=1e-12, abs=1e-12)


def test_a_profile_holds_each_factor_and_begins_again():
    """Requests of operational time 0 to 24 in steps of 1: none in the hour of factor 0, twice as many in the
    second, as many in each period."""
    shape = read({"kind": "profile", "factors": (1.0, 2.0, 0.0, 1.0), "each_s": "1min"})
    t = shape.inverse()(np.arange(0.0, 480.0, 0.5))
    counts = np.bincount((t // 60).astype(int))
    assert counts.tolist() == [120, 240, 0, 120] * 2
    assert read({"kind": "profile", "factors": (1.0,) * 24}).operational_s(1e5) == 1e5
    ((key, _, _),) = read({"kind": "profile", "factors": (0.0, 0.0)}).breaches()
    assert key == "factors"


def test_a_ramp_rises_in_straight_lines_and_stays_at_its_last_point():
    """From 0 at 10 s to 2 at 30 s is an area of 20: half of it has come when the square of the way is a half.
    The step at 30 s is at once; then one comes for each second."""
    ramp = read({"kind": "ramp", "points": ((10.0, 0.0), (30.0, 2.0), (30.0, 1.0))})
    found = ramp.inverse()(np.array([0.0, 10.0, 20.0, 25.0]))
    assert found.tolist() == pytest.approx([10.0, 10 + 20 / np.sqrt(2), 30.0, 35.0])
    assert [key for key, _, _ in ramp.breaches()] == []


@pytest.mark.parametrize("points", [((5.0, 1.0), (4.0, 1.0)), ((0.0, 1.0), (4.0, 0.0))])
def test_points_of_a_ramp_are_in_order_and_it_never_ends(points):
    assert [key for key, _, _ in read({"kind": "ramp", "points": points}).breaches()] == ["points"]


@pytest.mark.parametrize(("peak", "phase_s"), [("20:00", 50_400.0), (0.0, 64_800.0), ("1d 6h", 0.0)])
def test_a_peak_is_named_by_its_time(peak, phase_s):
    shape = read({"kind": "diurnal", "amplitude": 0.5, "period_s": "1d", "peak_s": peak})
    assert (shape.phase_s, shape.peak_s) == (phase_s, None)
    t = np.arange(0, 86_400, 60.0)
    at = t[np.argmax([factor(shape, one) for one in t.tolist()])]
    assert at == (phase_s + 21_600.0) % 86_400
    for beyond in (-1.0, 1e10):
        with pytest.raises(ValueError, match="peak_s"):
            read({"kind": "diurnal", "amplitude": 0.5, "period_s": "1d", "peak_s": beyond})
    both = read({"kind": "diurnal", "amplitude": 0.5, "period_s": 9.0, "peak_s": 1.0, "phase_s": 2.0})
    assert [key for key, _, _ in both.breaches()] == ["peak_s"]


def test_a_day_keeps_the_mean_and_rises_through_it_at_its_phase():
    shape = read({"kind": "diurnal", "amplitude": 0.8, "period_s": 50.0, "phase_s": 11.0})
    assert shape.operational_s(350.0) == pytest.approx(350.0)
    assert (factor(shape, 11.0), factor(shape, 11.0 + 12.5)) == (1.0, pytest.approx(1.8))


@given(shape=diurnals, xs=st.lists(st.floats(0, 1e6), min_size=1, max_size=30))
def test_any_day_is_undone_and_never_negative(shape, xs):
    """As exactly as operational time itself can be worked out: to its last bits, or a period's."""
    x = np.array(xs)
    t = shape.inverse()(x)
    assert np.all(np.isfinite(t))
    assert np.all(t >= 0)
    slack = 1e-14 * (x + shape.phase_s + shape.period_s)
    back = np.array([shape.operational_s(at) for at in t.tolist()])
    assert np.all(np.abs(back - x) <= slack + 2 * slack)


@given(shape=diurnals, xs=st.lists(st.floats(0, 1e4), min_size=2, max_size=40))
def test_an_element_does_not_depend_on_what_is_asked_beside_it(shape, xs):
    x = np.array(xs)
    together = shape.inverse()(x)
    assert [shape.inverse()(x[n : n + 1])[0] for n in range(len(x))] == together.tolist()
    assert shape.inverse()(x[1::2]).tolist() == together[1::2].tolist()


def test_instants_that_rounding_swapped_are_put_in_step():
    at, client = np.array([3.0, 2.0, 1.0, 4.0, 5.0, 9.0, 8.0]), np.array([0, 0, 0, 0, 2, 2, 2])
    latest = np.array([0.0, 0.0, 6.0])
    assert never_back(at, client, latest).tolist() == [3.0, 3.0, 3.0, 4.0, 6.0, 9.0, 9.0]
    assert latest.tolist() == [0.0, 0.0, 6.0]
