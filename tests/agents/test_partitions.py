"""Partitions and traffic: who trains on what, who meets what, and which wishes cannot be met."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_fleets import FEW, MISSING, NOISY, PARTITIONS, SKEWED, group, model, scenario

from agents.checks import validate
from agents.data.class_counts import class_counts
from agents.data.partitions import MIXES, class_weights
from agents.data.partitions import PARTITIONS as KINDS
from agents.fleet import open_fleet
from agents.plan import make_plan
from sim.errors import BadInput
from sim.scenario import POOLS

TRAFFIC = POOLS.index("traffic")


def test_every_partition_has_a_case_here() -> None:
    in_files = {"ids"}  # tests/agents/test_brought.py
    assert {partition["kind"] for partition in PARTITIONS.values()} | in_files == set(KINDS)


@pytest.mark.parametrize("kind", PARTITIONS)
def test_every_variant_has_its_own_draw_of_the_client_pool(kind: str) -> None:
    plan = make_plan(scenario(group(partition=PARTITIONS[kind], model=model(variants=2))))
    first, second = plan.trains_on[0]
    for ids in (first, second):
        assert 0 < len(ids) <= 100
        assert len(set(ids)) == len(ids)
        assert np.isin(ids % plan.data.size, plan.pools.client).all()
        assert (ids // plan.data.size == plan.view_of[0]).all()
    assert set(first) != set(second)


def test_missing_classes_are_missing() -> None:
    plan = make_plan(scenario(group(partition=MISSING)))
    assert set(plan.labels(plan.trains_on[0][0])) == set(range(7))


def test_few_samples_are_few_of_each_class() -> None:
    plan = make_plan(scenario(group(partition=FEW)))
    assert np.bincount(plan.labels(plan.trains_on[0][0])).tolist() == [2] * 10


def test_another_group_does_not_change_a_draw() -> None:
    alone = make_plan(scenario(group("a")))
    summed = make_plan(scenario(group("a"), group("b", partition=NOISY)))
    assert np.array_equal(alone.trains_on[0][0], summed.trains_on[0][0])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"partition": MISSING, "model": model(train_samples=300)},
            "fleet.sensors.model.train_samples: 300 asked",
        ),
        ({"partition": FEW}, ""),  # few is what was asked for
        ({}, ""),
    ],
)
def test_a_short_pool_is_told_once(
    changes: dict[str, Any], told: str, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING),
        open_fleet(scenario(group(**changes)), workers=0, cache=cache) as fleet,
    ):
        fleet.build()
    assert len(caplog.messages) == bool(told)
    assert told in caplog.text


@pytest.mark.parametrize("kind", PARTITIONS)
@pytest.mark.parametrize("mix", MIXES)
def test_traffic_is_traffic_and_ascends(kind: str, mix: str) -> None:
    traffic = {"mix": mix} | ({"alpha": 0.5} if mix == "dirichlet" else {})
    plan = make_plan(scenario(group(partition=PARTITIONS[kind], traffic=traffic)))
    positions = plan.traffic[0]
    assert positions.dtype == np.int32
    assert np.all(np.diff(positions) > 0)
    assert (plan.samples.pool[positions] == TRAFFIC).all()


def test_mix_all_is_every_clean_traffic_sample() -> None:
    plan = make_plan(scenario(group(partition=NOISY)))
    assert len(plan.traffic[0]) == 361
    assert (plan.samples.view[plan.traffic[0]] == 0).all()


def test_own_traffic_of_a_shifted_group_is_its_view() -> None:
    plan = make_plan(scenario(group(partition=NOISY, traffic={"mix": "own"})))
    assert len(plan.traffic[0]) == 361
    assert (plan.samples.view[plan.traffic[0]] == 1).all()


def test_own_traffic_leaves_out_unknown_classes() -> None:
    plan = make_plan(scenario(group(partition=MISSING, traffic={"mix": "own"})))
    assert set(plan.samples.label[plan.traffic[0]]) == set(range(7))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"partition": {"kind": "missing_classes", "classes": (3, 12)}},
            "fleet.sensors.partition.classes: 12 is not a class of digits (0 to 9)",
        ),
        (
            {"partition": {"kind": "missing_classes", "classes": tuple(range(10))}},
            "fleet.sensors.partition.classes: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] leave no class of digits "
            "to train on",
        ),
    ],
)
def test_what_cannot_be_had_is_refused_in_one_line(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(BadInput) as refusal:
        make_plan(scenario(group(**changes)))
    assert str(refusal.value) == line


def test_a_pool_without_a_wanted_class_leaves_nothing_to_train_on() -> None:
    """A client pool of one sample, which under this seed is none of the only class left."""
    tiny = (0.0006, 0.4994, 0.2, 0.1, 0.2)
    missing = {"kind": "missing_classes", "classes": tuple(range(9))}
    line = r"^fleet\.sensors\.partition: \{kind: \"missing_classes\", .* leaves client model 0 none of the 1 "
    with pytest.raises(BadInput, match=line):
        make_plan(scenario(group(partition=missing), data={"set": "digits", "pools": tiny}))


def test_a_short_pool_is_told_at_check_too(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        validate(scenario(group(partition=MISSING, model=model(train_samples=300))))
    assert [message for message in caplog.messages if "train_samples: 300 asked" in message]


def counts_of(alpha: float, train_samples: int, variants: int = 40) -> np.ndarray:
    """Training samples of each class, (variants, classes), of a group with a dirichlet partition."""
    asked = group(
        clients=variants,
        partition={"kind": "dirichlet", "alpha": alpha},
        model=model(variants=variants, train_samples=train_samples),
    )
    plan = make_plan(scenario(asked, data={"set": "gaussian_mixture", "samples": 20_000}))
    table = class_counts(plan)
    return np.array(table["samples"]).reshape(variants, 10)


def test_a_dirichlet_partition_has_the_spread_of_its_distribution() -> None:
    """Shares of one class have mean 1/C and variance (1/C)(1-1/C)/(C alpha + 1), and a multinomial on top.

    Over 40 variants and 10 classes the ratio of seen to expected variance has a relative spread of about 12%
    at alpha = 1, so a bound of 45% fails by chance once in a few thousand seeds; this seed is fixed.
    """
    samples = 300
    share = counts_of(alpha=1.0, train_samples=samples) / samples
    drawn = 0.1 * 0.9 / (10 * 1.0 + 1)
    expected = drawn + (0.1 * 0.9 - drawn) / samples
    assert share.mean() == pytest.approx(0.1)
    assert share.var() == pytest.approx(expected, rel=0.45)


def test_a_large_alpha_is_iid_and_a_small_one_knows_one_class() -> None:
    assert counts_of(alpha=1e6, train_samples=1000).std() < 15  # the multinomial alone has 9.5
    few = np.sort(counts_of(alpha=1e-3, train_samples=300), axis=1)
    assert (few[:, -1] > 290).mean() > 0.9


def test_a_class_that_runs_out_is_drawn_no_more() -> None:
    """The whole pool is asked for: every sample whose class has a share at all is used, and none twice."""
    plan = make_plan(scenario(group(partition=SKEWED, model=model(train_samples=10_000))))
    assert np.array_equal(np.sort(plan.trains_on[0][0]), plan.pools.client)


def test_a_mixture_of_classes_that_the_pool_lacks_is_refused() -> None:
    """A client pool of one sample and variants that each know one class: some must come away empty."""
    tiny = (0.0006, 0.4994, 0.2, 0.1, 0.2)
    asked = group(clients=20, partition={"kind": "dirichlet", "alpha": 1e-9}, model=model(variants=20))
    line = (
        r"^fleet\.sensors\.partition: \{kind: \"dirichlet\", alpha: 1e-09\} leaves client model \d+ none of"
    )
    with pytest.raises(BadInput, match=line):
        make_plan(scenario(asked, data={"set": "digits", "pools": tiny}))


@pytest.mark.parametrize("kind", PARTITIONS)
def test_class_weights_are_shares_of_what_is_known(kind: str) -> None:
    plan = make_plan(scenario(group(partition=PARTITIONS[kind])))
    asked = plan.scenario.fleet[0]
    weights, again = (class_weights(asked, plan.data, seed=7, place=0, variant=0) for _ in range(2))
    assert weights.tobytes() == again.tobytes()
    assert weights.sum() == pytest.approx(1.0)
    natural = np.bincount(plan.data.labels) / plan.data.size
    if kind == "missing":
        assert weights[7:].tolist() == [0.0, 0.0, 0.0]
        np.testing.assert_allclose(weights[:7], natural[:7] / natural[:7].sum())
    elif kind != "skewed":
        np.testing.assert_allclose(weights, natural)


def test_class_weights_of_a_dirichlet_are_what_its_models_were_drawn_with() -> None:
    """With a pool that never runs out, training samples follow them: total variation below that of 3,000
    draws from ten classes, which has a mean of about 0.02."""
    asked = group(partition=SKEWED, model=model(train_samples=3000))
    plan = make_plan(
        scenario(asked, data={"set": "gaussian_mixture", "samples": 200_000, "mixture": {"dimensions": 1}})
    )
    weights = class_weights(plan.scenario.fleet[0], plan.data, seed=7, place=0, variant=0)
    drawn = np.bincount(plan.labels(plan.trains_on[0][0]), minlength=10) / 3000
    assert np.abs(weights - drawn).sum() / 2 < 0.05


def test_class_counts_say_what_each_model_was_trained_on() -> None:
    plan = make_plan(
        scenario(group("a", partition=MISSING, model=model(variants=2)), group("b", partition=FEW))
    )
    table = class_counts(plan)
    assert table["group"] == ["a"] * 20 + ["b"] * 10
    assert table["variant"] == [0] * 10 + [1] * 10 + [0] * 10
    assert table["class"] == list(range(10)) * 3
    samples = np.array(table["samples"]).reshape(3, 10)
    assert samples[:2, 7:].sum() == 0
    assert samples[:2].sum(axis=1).tolist() == [100, 100]
    assert samples[2].tolist() == [2] * 10
    assert np.array(table["pool_samples"]).reshape(3, 10).sum(axis=1).tolist() == [359] * 3
    assert np.array(table["traffic_samples"]).reshape(3, 10).sum(axis=1).tolist() == [361] * 3
