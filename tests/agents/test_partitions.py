"""Partitions and traffic: who trains on what, who meets what, and which wishes cannot be met."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_fleets import FEW, MISSING, NOISY, PARTITIONS, group, model, scenario

from agents.fleet import open_fleet
from agents.partitions import MIXES
from agents.partitions import PARTITIONS as KINDS
from agents.plan import make_plan
from sim.errors import BadInput
from sim.scenario import POOLS

TRAFFIC = POOLS.index("traffic")


def test_every_partition_has_a_case_here() -> None:
    assert {partition["kind"] for partition in PARTITIONS.values()} == set(KINDS)


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
    together = make_plan(scenario(group("a"), group("b", partition=NOISY)))
    assert np.array_equal(alone.trains_on[0][0], together.trains_on[0][0])


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


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("kind", PARTITIONS)
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
        (
            {"partition": {"kind": "dirichlet", "alpha": 0.5}},
            "fleet.sensors.partition.kind: 'dirichlet' is not a known partition "
            "(iid, missing_classes, few_samples, domain_shift)",
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
    with pytest.raises(BadInput, match=r"^fleet\.sensors\.partition: missing_classes leaves none of the 1 "):
        make_plan(scenario(group(partition=missing), data={"set": "digits", "pools": tiny}))
