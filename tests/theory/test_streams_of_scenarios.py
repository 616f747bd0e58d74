"""What laws take from a scenario: factors of shapes as the simulation has them, and who chooses samples."""

from __future__ import annotations

import numpy as np
import pytest
from arrival_kinds import SHAPES
from pydantic import TypeAdapter

from analysis.theory.streams import factor, names_samples
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
