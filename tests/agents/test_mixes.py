"""What clients are sent: phases of traffic by mix and drift, on the real sample axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_fleets import SKEWED, group, model, scenario

from agents.checks import checked_plan
from agents.data.mixes import calibration_of
from agents.data.partitions import class_weights
from agents.data.views import Shift
from agents.plan import Plan, make_plan
from sim.errors import BadInput
from sim.messages import Phase
from sim.world.traffic import shares

NOISY = {"kind": "domain_shift", "noise": 0.2, "blur": 0.5}
CONFIDENT = {"score": "confidence", "price": {"kind": "threshold", "at": 0.5}}


def plan_of(**changes: Any) -> Plan:
    return make_plan(scenario(group(**changes)))


def class_shares(plan: Plan, phase: Phase, member: int = 0) -> np.ndarray:
    labels = plan.samples.label[phase.positions]
    return np.bincount(labels, weights=shares(phase, member), minlength=plan.data.classes)


def test_mix_all_draws_every_traffic_sample_alike():
    plan = plan_of()
    (phase,) = plan.phases[0]
    assert phase.positions.tolist() == plan.traffic[0].tolist()
    np.testing.assert_allclose(shares(phase, 0), 1 / 361)


def test_each_client_of_a_dirichlet_mix_has_its_own_classes():
    plan = plan_of(clients=6, traffic={"mix": "dirichlet", "alpha": 0.3})
    (phase,) = plan.phases[0]
    result = np.stack([class_shares(plan, phase, member) for member in range(6)])
    np.testing.assert_allclose(result.sum(axis=1), 1.0)
    assert len({row.tobytes() for row in result}) == 6
    more = plan_of(clients=9, traffic={"mix": "dirichlet", "alpha": 0.3}).phases[0][0]
    np.testing.assert_array_equal(more.upto[:6], phase.upto)  # a client does not know how many there are


@pytest.mark.parametrize(("alpha", "low", "high"), [(0.05, 0.75, 1.0), (1000.0, 0.1, 0.12)])
def test_a_small_alpha_gives_a_client_few_classes_and_a_large_one_all_alike(alpha, low, high):
    plan = plan_of(clients=20, traffic={"mix": "dirichlet", "alpha": alpha})
    largest = [class_shares(plan, plan.phases[0][0], member).max() for member in range(20)]
    assert low < np.mean(largest) < high


def test_own_traffic_of_a_dirichlet_partition_follows_each_clients_model():
    """Two models for five clients: 0, 2 and 4 meet classes as the one was taught them, 1 and 3 the other."""
    plan = plan_of(clients=5, model=model(variants=2), partition=SKEWED, traffic={"mix": "own"})
    (phase,) = plan.phases[0]
    assert phase.positions.size == plan.traffic[0].size == 361
    of_variant = [
        class_weights(plan.scenario.fleet[0], plan.data, seed=7, place=0, variant=variant)
        for variant in range(2)
    ]
    assert np.abs(of_variant[0] - of_variant[1]).sum() > 0.2
    for member in range(5):
        np.testing.assert_allclose(class_shares(plan, phase, member), of_variant[member % 2], atol=1e-12)


def test_own_traffic_of_a_dirichlet_partition_drifts_like_any_other():
    weights = (1.0,) + (0.0,) * 8 + (1.0,)
    drift = ({"at_s": 5.0, "noise": 0.4}, {"at_s": 9.0, "classes": weights})
    traffic = {"mix": "own", "drift": drift}
    plan = plan_of(clients=2, model=model(variants=2), partition=SKEWED, traffic=traffic)
    before, noisy, other = plan.phases[0]
    np.testing.assert_array_equal(before.upto, noisy.upto)
    assert set(plan.samples.view[noisy.positions]) == {1}
    np.testing.assert_allclose(class_shares(plan, other)[[0, 9]], [0.5, 0.5])


def test_an_own_mixture_of_classes_without_traffic_is_refused():
    """Almost all weight on one class, and a traffic pool of five samples that has not all classes."""
    asked = group(clients=2, partition={"kind": "dirichlet", "alpha": 1e-9}, traffic={"mix": "own"})
    data = {"set": "gaussian_mixture", "samples": 400, "pools": (0.9, 0.04, 0.04, 0.0125, 0.0075)}
    told = []
    for seed in range(5):
        wanted = scenario(asked | {"model": model(variants=1)}, data=data).model_copy(update={"seed": seed})
        try:
            make_plan(wanted)
        except BadInput as refusal:
            told.append(str(refusal))
    line = "fleet.sensors.traffic.mix: own has no traffic sample of the classes of client model 0"
    assert set(told) == {line}


def test_classes_drift_to_the_weights_whatever_the_models_know():
    missing = {"kind": "missing_classes", "classes": (7, 8, 9)}
    weights = (0.0,) * 7 + (1.0, 1.0, 2.0)
    drift = ({"at_s": 5.0, "classes": weights},)
    plan = plan_of(partition=missing, traffic={"mix": "own", "drift": drift})
    before, after = plan.phases[0]
    assert (before.at_s, after.at_s) == (0.0, 5.0)
    assert class_shares(plan, before)[7:].tolist() == [0.0] * 3
    np.testing.assert_allclose(class_shares(plan, after), np.array(weights) / 4)


def test_noise_drifts_to_another_view_of_the_same_samples():
    drift = ({"at_s": 5.0, "noise": 0.4}, {"at_s": 9.0, "noise": 0.0})
    plan = plan_of(partition=NOISY, traffic={"mix": "own", "drift": drift})
    assert plan.shifts == (Shift(), Shift(0.2, 0.5), Shift(0.4, 0.5), Shift(0.0, 0.5))
    first, second, third = plan.phases[0]
    assert [int(plan.samples.view[phase.positions[0]]) for phase in (first, second, third)] == [1, 2, 3]
    for phase in (second, third):
        assert (
            plan.samples.base_id[phase.positions].tolist() == plan.samples.base_id[first.positions].tolist()
        )
        np.testing.assert_array_equal(shares(phase, 0), shares(first, 0))


def test_a_drift_of_noise_keeps_the_classes_of_the_drift_before():
    weights = (1.0, 3.0) + (0.0,) * 8
    drift = ({"at_s": 5.0, "classes": weights}, {"at_s": 6.0, "noise": 0.4})
    plan = plan_of(traffic={"mix": "all", "drift": drift})
    after = plan.phases[0][2]
    np.testing.assert_allclose(class_shares(plan, after)[:2], [0.25, 0.75])
    assert set(plan.samples.view[after.positions]) == {1}


def test_what_is_to_come_is_not_what_the_server_is_trained_on_before():
    drift = ({"at_s": 5.0, "noise": 0.4},)
    plan = plan_of(traffic={"mix": "all", "drift": drift})
    assert len(plan.shifts) == 2
    assert plan.sent_views == (0,)


def test_a_class_without_traffic_samples_is_refused():
    """Five traffic samples cannot be of ten classes."""
    pools = (0.498, 0.25, 0.2, 0.05, 0.002)

    def small(**traffic: Any) -> Plan:
        wished = scenario(group(traffic={"mix": "all"} | traffic))
        return make_plan(wished.model_copy(update={"data": wished.data.model_copy(update={"pools": pools})}))

    plan = small()
    missing = sorted(set(range(10)) - set(plan.samples.label[plan.traffic[0]].tolist()))[0]
    with pytest.raises(BadInput) as refusal:
        small(drift=({"at_s": 5.0, "classes": (1.0,) * 10},))
    assert str(refusal.value) == (
        f"fleet.sensors.traffic.drift.0.classes: class {missing} has a weight "
        "and no sample in the traffic pool"
    )


def classes_weighed(plan: Plan, owner: int, at_s: float = 0.0) -> np.ndarray:
    """The classes of the rejectors' pool, counted by what its samples weigh, as shares."""
    weights, labels = plan.class_weights_at(0, at_s), plan.labels(plan.rejector_pool)
    assert weights is not None
    counted = np.bincount(labels, weights=weights[owner][labels], minlength=plan.data.classes) / len(labels)
    np.testing.assert_allclose(counted.sum(), 1.0, rtol=1e-6)
    return counted


@pytest.mark.parametrize("partition", [{"kind": "iid"}, {"kind": "few_samples", "per_class": 3}, NOISY])
def test_rejectors_weigh_all_alike_where_no_class_comes_more_often(partition):
    for mix in ("all", "own"):
        assert plan_of(partition=partition, traffic={"mix": mix}).class_weights_at(0, 0.0) is None


def test_rejectors_do_not_learn_about_classes_that_never_come():
    missing = {"kind": "missing_classes", "classes": (7, 8, 9)}
    assert plan_of(partition=missing).class_weights_at(0, 0.0) is None  # mix `all` brings them
    plan = plan_of(partition=missing, traffic={"mix": "own"})
    weights = plan.class_weights_at(0, 0.0)
    assert set(weights[:, 7:].ravel()) == {0.0}
    assert np.ptp(weights[:, :7]) < 1e-12 < weights[0, 0]
    assert classes_weighed(plan, 0)[7:].tolist() == [0.0] * 3


def test_rejectors_weigh_classes_as_their_own_clients_meet_them():
    """A rejector of each of six clients; and one a model, which three clients share."""
    for per in ("client", "variant"):
        asked = {"clients": 6, "model": model(variants=2), "rejector": {"per": per}}
        plan = plan_of(**asked, traffic={"mix": "dirichlet", "alpha": 0.5})
        met = np.stack([class_shares(plan, plan.phases[0][0], member) for member in range(6)])
        if per == "variant":
            met = np.stack([met[0::2].mean(axis=0), met[1::2].mean(axis=0)])
        result = np.stack([classes_weighed(plan, owner) for owner in range(plan.owners_in(0))])
        np.testing.assert_allclose(result, met, atol=1e-6)


def test_rejectors_follow_a_drift_of_classes():
    weights = (1.0,) + (0.0,) * 8 + (3.0,)
    plan = plan_of(traffic={"mix": "all", "drift": ({"at_s": 5.0, "classes": weights},)})
    assert plan.class_weights_at(0, 4.9) is None
    np.testing.assert_allclose(classes_weighed(plan, 2, 5.0), np.array(weights) / 4.0, atol=1e-6)


def test_a_pool_without_anything_that_comes_is_refused():
    """Ten samples for rejectors, of which none is of the only class that comes after the drift."""
    pools = (0.3, 0.3, 10 / 1797, 0.1, 0.3 - 10 / 1797)
    plan = make_plan(scenario(group(), data={"set": "digits", "pools": pools}))
    lacking = int(np.setdiff1d(np.arange(10), plan.labels(plan.rejector_pool))[0])
    drift = ({"at_s": 5.0, "classes": tuple(float(label == lacking) for label in range(10))},)
    asked = scenario(group(traffic={"mix": "all", "drift": drift}), data={"set": "digits", "pools": pools})
    with pytest.raises(BadInput, match=r"^fleet\.sensors\.traffic: the rejector pool has no sample of"):
        checked_plan(asked)
    checked_plan(
        scenario(
            group(policy=CONFIDENT, traffic={"mix": "all", "drift": drift}), data=asked.data.model_dump()
        )
    )


@pytest.mark.parametrize(
    "changes",
    [{"traffic": {"mix": "dirichlet", "alpha": 0.5}}, {"partition": SKEWED, "traffic": {"mix": "own"}}],
)
def test_calibration_samples_weigh_as_much_as_their_class_is_met(changes):
    """By class the same shares as of the traffic, if both pools have all that the client meets."""
    plan = plan_of(clients=4, model=model(variants=2), **changes)
    (met,), (phase,) = plan.calibration_phases, plan.phases[0]
    assert np.array_equal(np.sort(met.positions), plan.calibration(0))
    for member in range(4):
        np.testing.assert_allclose(
            class_shares(plan, met, member), class_shares(plan, phase, member), atol=1e-12
        )


def test_calibration_samples_weigh_alike_where_traffic_has_no_classes_of_its_own():
    plan = plan_of()
    np.testing.assert_allclose(shares(plan.calibration_phases[0], 0), 1 / 179)


def test_a_client_without_a_calibration_sample_of_its_classes_counts_all_alike():
    plan = plan_of(clients=2, traffic={"mix": "dirichlet", "alpha": 0.001})
    (phase,) = plan.phases[0]
    met_class = int(np.argmax(class_shares(plan, phase, 0)))
    others = plan.calibration(0)[plan.samples.label[plan.calibration(0)] != met_class].astype(np.int32)
    result = calibration_of(plan.scenario, 0, plan.data, plan.samples, plan.traffic[0], others)
    by_class = class_shares(plan, result, 0)
    assert by_class[met_class] == 0
    assert by_class.sum() == pytest.approx(1.0)
