"""What laws take from a scenario: factors of shapes as the simulation has them, and who chooses samples."""

from __future__ import annotations

import numpy as np
import pytest
from arrival_kinds import SHAPES
from pydantic import TypeAdapter

from analysis.theory.streams import Stream, factor, names_samples
from sim.registry.shapes import Shape


@pytest.mark.parametrize("name", SHAPES)
def test_the_factor_of_a_shape_is_the_slope_of_its_operational_time(name: str) -> None:
    shape = TypeAdapter(Shape).validate_python(SHAPES[name])
    for at_s in np.arange(0.513, 200.0, 3.7).tolist():
        slope = (shape.operational_s(at_s + 1e-5) - shape.operational_s(at_s - 1e-5)) / 2e-5
        assert factor(shape.model_dump(), at_s) == pytest.approx(slope, abs=1e-4)


def test_a_trace_may_choose_the_samples() -> None:
    def group(**process: object) -> dict[str, object]:
        return {"arrivals": {"process": process}}

    assert names_samples(group(kind="trace", columns={"sample": "which"}))
    assert not names_samples(group(kind="trace", columns={"sample": None}))
    assert not names_samples(group(kind="poisson"))


@pytest.mark.parametrize("name", SHAPES)
def test_the_mean_rate_of_sends_is_that_of_every_second(name: str) -> None:
    """With a share for each minute, which a stretch may go beyond."""
    shape = TypeAdapter(Shape).validate_python(SHAPES[name]).model_dump()
    group = {"group": "g", "arrivals": {"shape": shape}}
    stream = Stream(group, 3.0, (0.2, 0.7, 0.4))
    for from_s, to_s in ((0.0, 60.0), (59.0, 61.0), (100.0, 150.5), (170.0, 400.0), (500.0, 501.0)):
        seconds = [stream.first_sends_hz(at) for at in np.arange(from_s, to_s, 1.0) + 0.5]
        assert stream.mean_first_sends_hz(from_s, to_s) == np.mean(seconds)
