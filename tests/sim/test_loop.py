"""The product's loop against its readable definition, on random small scenarios, byte for byte."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from strategies import worlds
from worlds import differences, made_up, product, reference


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_every_table_equals_the_reference(world):
    scenario, arrivals, chunk_s = world
    learned = made_up(scenario)
    ours, theirs = (loop(scenario, learned, arrivals, chunk_s) for loop in (product, reference))
    for mine, told in zip(ours, theirs, strict=True):
        assert differences(mine, told) == []
