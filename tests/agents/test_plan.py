"""The plan: work is cut into the same blocks whoever does it."""

from __future__ import annotations

import numpy as np
import pytest
from small_fleets import MISSING, NOISY, group, model, scenario, three_kinds

from agents.plan import BLOCK, Block, Variant, make_plan


def test_a_group_is_cut_into_blocks_of_64_and_a_rest() -> None:
    plan = make_plan(scenario(group("a", clients=130), group("b", clients=3)))
    assert plan.blocks == (Block(0, 0, BLOCK), Block(0, 64, BLOCK), Block(0, 128, 2), Block(1, 0, 3))


def test_a_rejector_per_variant_needs_a_row_per_variant() -> None:
    rejector = {"per": "variant"}
    plan = make_plan(scenario(group(clients=1000, model=model(variants=3), rejector=rejector)))
    assert plan.blocks == (Block(0, 0, 3),)
    assert plan.variants_of(plan.blocks[0]) == (Variant(0, 0), Variant(0, 1), Variant(0, 2))


def test_variants_are_dealt_to_clients_in_turn() -> None:
    plan = make_plan(scenario(group(clients=66, model=model(variants=3))))
    assert [variant.number for variant in plan.variants_of(plan.blocks[1])] == [64 % 3, 65 % 3]


@pytest.mark.parametrize("score", ["confidence", "random", "oracle"])
def test_only_l2h_trains_rejectors(score: str) -> None:
    price = {"kind": "threshold", "at": 0.5}
    plan = make_plan(scenario(group("a", policy={"score": score, "price": price}), group("b")))
    assert plan.blocks == (Block(1, 0, 3),)


def test_the_server_practises_on_what_is_sent() -> None:
    """A shifted group whose requests are clean pictures does not bring its view to the server."""
    sends_noise = make_plan(scenario(group(partition=NOISY, traffic={"mix": "own"})))
    sends_clean = make_plan(scenario(group(partition=NOISY)))
    assert sends_noise.sent_views == (0, 1)
    assert sends_clean.sent_views == (0,)


def test_a_rejector_trains_on_what_its_group_sends() -> None:
    """Under mix `all` that is clean pictures, however noisy those were that the models learned from."""
    sends_noise = make_plan(scenario(group("plain"), group(partition=NOISY, traffic={"mix": "own"})))
    sends_clean = make_plan(scenario(group("plain"), group(partition=NOISY)))
    assert sends_noise.view_of == sends_clean.view_of == (0, 1)
    assert [sends_noise.meets_view(place) for place in (0, 1)] == [0, 1]
    assert [sends_clean.meets_view(place) for place in (0, 1)] == [0, 0]
    assert sends_noise.rejector_views == (0, 1)
    assert sends_clean.rejector_views == (0,)


def test_a_group_meets_the_view_of_its_traffic() -> None:
    for mix in ("all", "own"):
        plan = make_plan(scenario(group("plain"), group(partition=NOISY, traffic={"mix": mix})))
        for place, positions in enumerate(plan.traffic):
            assert np.unique(plan.samples.view[positions]).tolist() == [plan.meets_view(place)]


def test_the_learners_share_no_sample() -> None:
    """No learner's samples, in whatever view, have a base sample in traffic or in another pool."""
    plan = make_plan(three_kinds())
    trained = np.unique(np.concatenate([ids for group in plan.trains_on for ids in group]) % plan.data.size)
    pools = (trained, plan.pools.server, plan.pools.rejector, plan.pools.calibration, plan.pools.traffic)
    together = np.concatenate(pools)
    assert len(np.unique(together)) == len(together)


def test_a_plan_does_not_depend_on_costs_or_training() -> None:
    cheap, dear = (make_plan(scenario(group(partition=MISSING), costs={"c_e": c_e})) for c_e in (0.0, 0.9))
    assert np.array_equal(cheap.trains_on[0][0], dear.trains_on[0][0])
    assert np.array_equal(cheap.traffic[0], dear.traffic[0])
