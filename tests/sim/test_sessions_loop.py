"""Sessions on random worlds: both clocks and the definition tell the same, byte by byte, in any windows."""

from __future__ import annotations

import pytest
from hypothesis import given
from strategies_sessions import session_worlds
from test_loop import assert_loops_agree
from tried import tried
from worlds import product

from sim.engine.arrays import sessions
from sim.engine.choice import EnginePath
from sim.scenario.rules.sessions import sessions_can_be_played


@tried(120)
@given(session_worlds())
def test_sessions_equal_the_reference(world):
    scenario, learned, arrivals, chunk_s = world
    assert list(sessions_can_be_played(scenario)) == []
    assert_loops_agree(scenario, arrivals, chunk_s, learned)


@tried(32)
@given(session_worlds())
def test_both_clocks_play_them_alike_in_windows_of_any_length(world):
    scenario, learned, arrivals, chunk_s = world
    plain = product(scenario, learned, arrivals, chunk_s, path=EnginePath("simpy", ""))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "FEWEST", 1)  # so that items are drawn again and again
        compiled = product(scenario, learned, arrivals, 60.0, path=EnginePath("compiled", ""))
    for mine, other in zip(plain, compiled, strict=True):
        assert mine.equals(other)
