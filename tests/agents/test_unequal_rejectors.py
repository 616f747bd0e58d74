"""Rejectors of devices that are not equally fast: each learns by its own steps, and uploads as all would."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from test_online import kept, opened  # noqa: F401  (a fixture)
from test_rejectors_together import everybody, round_for, same_update, together, uploads_of

from sim.messages import Merge
from sim.scenario import Scenario

STEPS = (2, 8, 4, 16, 1, 8)  # of six clients; the scenario says 8


def unequal(**federation: Any) -> Scenario:
    how = {"step": 0.05} | federation.pop("unequal", {})
    return together(unequal=how, **federation)


def timed(learned: Any, steps: Any = STEPS, number: int = 1) -> Any:
    return replace(round_for(learned, 6, number), steps=np.array(steps, dtype=np.int32))


def test_where_all_do_what_the_scenario_says_no_bit_is_another(opened) -> None:  # noqa: F811
    equal, learned = opened(together())
    other, _ = opened(unequal())
    same_update(other.train_rejectors(timed(learned, (8,) * 6)), equal.train_rejectors(round_for(learned, 6)))
    assert uploads_of(other).numbers.tobytes() == uploads_of(equal).numbers.tobytes()


@pytest.mark.parametrize("steps", [1, 4])
def test_who_does_fewer_steps_stops_after_them(steps, opened) -> None:  # noqa: F811
    """In a first round as if the scenario said so, to the last bit, whatever others do meanwhile."""
    fleet, learned = opened(unequal(unequal={"normalised": False}))
    fleet.train_rejectors(timed(learned))
    few, _ = opened(together(steps=steps))
    few.train_rejectors(round_for(learned, 6))
    row = STEPS.index(steps)
    ours, theirs = (uploads_of(one).numbers[row] for one in (fleet, few))
    assert ours.tobytes() == theirs.tobytes()


def test_a_normalised_upload_is_the_change_at_the_rate_of_its_own(opened) -> None:  # noqa: F811
    plain, learned = opened(unequal(unequal={"normalised": False}))
    other, _ = opened(unequal())
    begin = uploads_of(plain).numbers
    update, same = (one.train_rejectors(timed(learned)) for one in (plain, other))
    same_update(update, same)  # each decides by what it learned
    change = uploads_of(plain).numbers - begin
    expected = begin + change * (8 / np.array(STEPS))[:, None]
    np.testing.assert_allclose(uploads_of(other).numbers, expected, rtol=1e-5, atol=1e-6)


def test_fast_ones_do_not_carry_the_merge_away(opened) -> None:  # noqa: F811
    """Of two clients with one model and as many answers, of which one does sixteen times the steps: how much
    of the merged change is along its own, beside the other's."""
    pull = {}
    for normalised in (False, True):
        fleet, learned = opened(unequal(unequal={"normalised": normalised}))
        begin = uploads_of(fleet).numbers
        fleet.train_rejectors(timed(learned, (1, 8, 16, 8, 8, 8)))
        change = uploads_of(fleet).numbers - begin
        pull[normalised] = np.linalg.norm(change[2]) / np.linalg.norm(change[0])
    assert pull[False] > 4
    assert 0.25 < pull[True] < 2  # with momentum later steps are longer, or shorter as it is learned


@pytest.mark.parametrize("done", [0, 1, 2])
def test_a_restored_fleet_goes_on_to_the_same_bytes(done, opened) -> None:  # noqa: F811
    """Kept between training and merging, too, where the upload is not what the client has."""
    wanted = unequal()
    one, learned = opened(wanted)
    steps = [
        lambda fleet: fleet.train_rejectors(timed(learned)),
        lambda fleet: fleet.merge(Merge(1, everybody(6), everybody(6))),
        lambda fleet: fleet.train_rejectors(timed(learned, number=2)),
    ]
    for step in steps[:done]:
        step(one)
    state = kept(one)
    expected = [step(one) for step in steps[done:]]
    other = opened.blank(wanted)
    other.restore(state)
    other.decide()
    other.restore(state)
    for step, update in zip(steps[done:], expected, strict=True):
        same_update(step(other), update)
