"""What rows are judged on: a client's own mix of classes, and what it meets on average over the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_fleets import SKEWED, group, model, scenario

from agents.data.sample_mix import in_force, sample_mix_of
from agents.evaluation.cost_model import CostModel
from agents.evaluation.curves import EvaluationSet, deferral_curve, random_curve
from agents.evaluation.judged import calibrated_on, judged_on
from agents.evaluation.policy_evaluation import evaluate, measures
from agents.fleet import open_fleet
from agents.plan import make_plan
from sim.messages import Phase
from sim.world.traffic import shares

EXTREME = {"kind": "dirichlet", "alpha": 1e-6}


def test_a_skewed_client_is_judged_on_what_it_meets(tmp_path: Path) -> None:
    """Models that know one class alone, whose clients meet no other, are always right, and are told so."""
    one = group(clients=2, model=model(variants=2, epochs=20), partition=EXTREME, traffic={"mix": "own"})
    with open_fleet(scenario(one), workers=0, cache=tmp_path) as fleet:
        fleet.build()
        fleet.learn()
        learned = fleet.decide()
    own = {name: values[0] for name, values in learned.study.items()}
    assert own["risk_all_local"] == pytest.approx(0.0, abs=1e-9)
    assert own["accuracy"] == pytest.approx(1.0) or own["deferral_rate"] > 0
    assert own["samples_local"] + own["samples_remote"] == pytest.approx(181)
    assert learned.study_curves["accuracy"][0] == pytest.approx(1.0)
    table = learned.reliability
    said = [
        (weight, right)
        for source, about, weight, right in zip(
            *(table[name] for name in ("source", "model", "weight", "right")), strict=True
        )
        if (source, about) == ("softmax", "client")
    ]
    assert sum(weight * right for weight, right in said) == pytest.approx(sum(weight for weight, _ in said))


def test_weights_are_those_of_the_traffic() -> None:
    """By class the shares in which a client is sent samples, of those that are held out; mean 1."""
    plan = make_plan(
        scenario(group(clients=4, model=model(variants=2), partition=SKEWED, traffic={"mix": "own"}))
    )
    met, (phase,) = judged_on(plan, 0, 4), plan.phases[0]
    assert met.weight is not None
    for member in range(4):
        expected = np.zeros(len(plan.samples.label))
        expected[phase.positions] = shares(phase, member)
        expected = expected[met.positions]
        np.testing.assert_allclose(met.weight[member], expected / expected.mean())
    np.testing.assert_allclose(judged_on(plan, 0, 2).weight, met.weight[:2])
    assert calibrated_on(plan, 0, 4).weight.mean(axis=1) == pytest.approx(1.0)


def test_where_all_are_met_alike_there_are_no_weights() -> None:
    plan = make_plan(scenario())
    met = judged_on(plan, 0, 3)
    assert met.weight is None
    assert np.array_equal(met.positions, plan.held_out(0))


def phase(at_s: float, *positions: int) -> Phase:
    """Samples that come alike from an instant on."""
    return Phase(at_s, np.array(positions, np.int32), np.array([0, len(positions)]), np.ones((1, 1)))


def test_phases_weigh_by_how_long_they_last() -> None:
    """A quarter of the time samples 0 and 1, then 1 and 2; what begins at the horizon never comes."""
    parts = in_force((phase(0.0, 0, 1), phase(15.0, 1, 2), phase(60.0, 3)), 60.0)
    assert [part for _, part in parts] == [0.25, 0.75]
    met = sample_mix_of(parts, np.arange(3), clients=2, owners=1)
    np.testing.assert_allclose(met.weight, [[0.375, 1.5, 1.125]])
    assert in_force((phase(0.0, 0), phase(5.0, 1)), 0.0)[0][1] == 1.0, "without time the first alone"


def test_a_drift_is_part_of_what_is_judged() -> None:
    """Half of the run in noise: each held-out sample counts in both views, and is one witness."""
    noisy = group(traffic={"mix": "all", "drift": ({"at_s": 30.0, "noise": 0.4},)})
    plan = make_plan(scenario(noisy))
    met = judged_on(plan, 0, 3)
    assert len(met.positions) == 2 * len(np.unique(plan.samples.base_id[met.positions]))
    np.testing.assert_allclose(met.weight, 1.0)


def test_who_meets_nothing_held_out_has_no_share() -> None:
    two = Phase(0.0, np.array([0, 1], np.int32), np.array([0, 1, 2]), np.array([[1.0, 1.0], [0.0, 1.0]]))
    met = sample_mix_of([(two, 1.0)], np.array([1]), clients=2, owners=2)
    assert met.share.tolist() == [0.0, 1.0]
    np.testing.assert_array_equal(met.weight, [[0.0], [1.0]])


def test_weights_stand_for_copies() -> None:
    """A sample of weight 3 beside three of weight 1/3 says what it would if it stood there three times ..."""
    client, server = np.array([[True, False, False]]), np.array([False, True, True])
    score, costs = np.array([[0.1, 0.9, 0.5]], np.float32), CostModel(0.25, 2.0)
    one = np.array([0]), np.array([1.0])
    weighed = EvaluationSet(client, server, *one, weight=np.array([[1.5, 0.75, 0.75]]))
    times = [0, 0, 1, 2]
    copies = EvaluationSet(client[:, times], server[times], *one)
    told, expected = (
        measures(evaluate(values, np.array([0.3]), of, costs, np.array([0.5])), costs)
        for values, of in ((score, weighed), (score[:, times], copies))
    )
    for name in ("risk", "risk_all_local", "risk_all_remote", "risk_oracle", "accuracy", "deferral_rate"):
        assert told[name] == pytest.approx(expected[name]), name
    at_quarters = [0, 5, 10, 15, 20]
    np.testing.assert_allclose(
        deferral_curve(score, weighed, costs)[:, at_quarters],
        deferral_curve(score[:, times], copies, costs)[:, at_quarters],
    )
    np.testing.assert_allclose(random_curve(weighed, costs), random_curve(copies, costs))


def test_parts_of_a_group_add_up_to_its_curve() -> None:
    """Rejectors are evaluated in blocks; the curves of two add up to that of both."""
    client, server = np.array([[True, False], [False, False]]), np.array([True, True])
    score, costs = np.array([[0.1, 0.9], [0.5, 0.2]], np.float32), CostModel(0.25, 2.0)
    whole = EvaluationSet(client, server, np.arange(2), np.array([0.5, 0.5]))
    parts = [EvaluationSet(client[[row]], server, np.array([0]), np.array([0.5])) for row in range(2)]
    summed = sum(deferral_curve(score[[row]], part, costs) for row, part in enumerate(parts))
    np.testing.assert_allclose(summed, deferral_curve(score, whole, costs))


def test_paying_more_than_a_constant_is_told_beyond_chance_alone() -> None:
    """Of 200 samples the client has 180 right; a policy that sends all of them pays .1 where .1 is lost."""
    client, server = np.arange(200)[None] >= 20, np.arange(200) >= 40
    all_of_it = EvaluationSet(client, server, np.array([0]), np.array([1.0]))
    costs, score = CostModel(0.1, 1.0), np.arange(200, dtype=np.float32)[None]
    half = measures(evaluate(score, np.array([99.5]), all_of_it, costs, np.array([0.5])), costs)
    assert half["above_constant"] == pytest.approx(half["risk"] - half["risk_all_local"])
    assert 0 < half["above_constant_low"] < half["above_constant"] < half["above_constant_high"]
    none = measures(evaluate(score, np.array([np.inf]), all_of_it, costs, np.array([0.0])), costs)
    assert none["above_constant"] == pytest.approx(0.0)
    assert none["above_constant_low"] <= 1e-12
