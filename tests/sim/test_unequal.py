"""Devices that are not equally fast: how many steps each does in a round, as in `test_federation`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_federation import held, run_of, scenario_of, told

from sim.scenario import Scenario
from sim.scenario.rules.checks import findings
from sim.world.unequal_devices import device_steps
from sim.world.world import World


def unequal(step: Any, **kwargs: Any) -> Scenario:
    """Rounds have a second for ten steps."""
    return scenario_of(unequal={"step": step}, **kwargs)


@pytest.mark.parametrize(("step_s", "steps"), [(0.1, 10), (0.099, 10), (0.26, 3), (1.0, 1), (0.001, 100)])
def test_a_device_does_as_many_steps_as_fit_and_at_most_ten_times_as_many(step_s, steps):
    assert device_steps(unequal(step_s), 3).tolist() == [steps] * 3
    rows = told(unequal(step_s))
    assert rows["least_steps"].tolist() == rows["most_steps"].tolist() == [steps] * 4
    assert held(unequal(step_s), "rejectors") == held(scenario_of(), "rejectors")  # in the same time


def test_a_device_without_time_for_one_takes_no_part():
    rows = told(unequal(1.01))
    assert rows[["trained", "uploaded", "received", "most_steps"]].to_numpy().sum() == 0
    assert set(rows["fate"]) == {"lost"}


def test_steps_are_drawn_once_for_each_client_and_learners_are_told_them():
    step = {"kind": "exponential", "mean_s": 0.3}
    scenario = unequal(step, group={"clients": 7}, absent=0.3)
    steps = device_steps(scenario, 7)
    assert len(set(steps.tolist())) > 3
    for one in run_of(scenario)[1].training_rounds:
        assert one.steps.tolist() == steps[one.trains].tolist()
        assert (one.steps > 0).all()
    longer = World(scenario.model_copy(update={"horizon_s": 500.0})).federated
    assert all(np.array_equal(one.steps, steps[one.trains]) for one in longer.rounds)


def test_without_it_nobody_is_told_of_steps():
    assert all(not len(one.steps) for one in run_of(scenario_of())[1].training_rounds)
    assert "least_steps" not in told(scenario_of())


@pytest.mark.parametrize(
    ("federation", "path", "what"),
    [
        ({"merge": "laplace"}, "merge", "weighs by a precision of as many steps of each"),
        ({"step_s": 0.0}, "step_s", "no time that steps could fit into"),
        ({"learns": "prototypes"}, "unequal", "prototypes are learned in no steps"),
    ],
)
def test_what_has_no_steps_or_no_time_is_refused(federation, path, what):
    group = {"fallback": "prototype"} if "learns" in federation else {}
    (finding,) = findings(unequal(0.1, group=group, **federation))
    assert finding.path[-1] == path
    assert what in finding.sentence


def test_a_step_of_every_device_must_fit_into_a_round():
    assert not list(findings(unequal(1.0)))
    (finding,) = findings(unequal(1.01))
    assert finding.path == ("federation", "unequal", "step")
    assert finding.sentence.endswith("must be at most steps * step_s, 1 s, or nobody ever takes part")
    assert not list(findings(unequal({"kind": "exponential", "mean_s": 1.01})))
