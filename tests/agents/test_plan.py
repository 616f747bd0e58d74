"""The plan: work is cut into the same blocks whoever does it."""

from __future__ import annotations

import numpy as np
import pytest
from small_fleets import MISSING, NOISY, group, model, scenario, three_kinds

from agents.plan import BLOCK, Block, Variant, make_plan
from sim.registry.scores import SCORES


def test_a_group_is_cut_into_blocks_of_64_and_a_rest() -> None:
    plan = make_plan(scenario(group("a", clients=130), group("b", clients=3)))
    assert plan.blocks == tuple(
        Block(place, "l2h", *each)
        for place, each in ((0, (0, BLOCK)), (0, (64, BLOCK)), (0, (128, 2)), (1, (0, 3)))
    )


def test_a_rejector_per_variant_needs_a_row_per_variant() -> None:
    rejector = {"per": "variant"}
    plan = make_plan(scenario(group(clients=1000, model=model(variants=3), rejector=rejector)))
    assert plan.blocks == (Block(0, "l2h", 0, 3),)
    assert plan.variants_of(plan.blocks[0]) == (Variant(0, 0), Variant(0, 1), Variant(0, 2))


def test_variants_are_dealt_to_clients_in_turn() -> None:
    plan = make_plan(scenario(group(clients=66, model=model(variants=3))))
    assert [variant.number for variant in plan.variants_of(plan.blocks[1])] == [64 % 3, 65 % 3]


@pytest.mark.parametrize("score", [name for name, one in SCORES.items() if not one.needs_rejector])
def test_only_trained_scores_have_rejectors(score: str) -> None:
    price = {"kind": "threshold", "at": 0.5}
    plan = make_plan(scenario(group("a", policy={"score": score, "price": price}), group("b")))
    assert plan.blocks == (Block(1, "l2h", 0, 3),)


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
    assert [sends_noise.traffic_view(place) for place in (0, 1)] == [0, 1]
    assert [sends_clean.traffic_view(place) for place in (0, 1)] == [0, 0]
    assert sends_noise.rejector_views == (0, 1)
    assert sends_clean.rejector_views == (0,)


def test_a_group_meets_the_view_of_its_traffic() -> None:
    for mix in ("all", "own"):
        plan = make_plan(scenario(group("plain"), group(partition=NOISY, traffic={"mix": mix})))
        for place, positions in enumerate(plan.traffic):
            assert np.unique(plan.samples.view[positions]).tolist() == [plan.traffic_view(place)]


def test_the_learners_share_no_sample() -> None:
    """No learner's samples, in whatever view, have a base sample in traffic or in another pool."""
    plan = make_plan(three_kinds())
    trained = np.unique(np.concatenate([ids for group in plan.trains_on for ids in group]) % plan.data.size)
    pools = (trained, plan.pools.server, plan.pools.rejector, plan.pools.calibration, plan.pools.traffic)
    summed = np.concatenate(pools)
    assert len(np.unique(summed)) == len(summed)


def test_a_plan_does_not_depend_on_costs_or_training() -> None:
    cheap, dear = (make_plan(scenario(group(partition=MISSING), costs={"c_e": c_e})) for c_e in (0.0, 0.9))
    assert np.array_equal(cheap.trains_on[0][0], dear.trains_on[0][0])
    assert np.array_equal(cheap.traffic[0], dear.traffic[0])


def test_settings_of_one_network_are_stacked_whatever_else_they_differ_in() -> None:
    """Owner after owner, setting after setting, the run's own first; a row of any kind finds its owner."""
    study = {"c_e": (0.1, 0.2), "sync_every": (1, 100), "score": ("l2h", "plug_in")}
    plan = make_plan(scenario(group(clients=20, model=model(variants=3)), study=study))
    assert plan.blocks == (
        Block(0, "l2h", 0, 64),
        Block(0, "l2h", 64, 16),
        Block(0, "plug_in", 0, 40),  # its loss does not look at costs, so both c_e share their rejectors
    )
    last = plan.blocks[1]
    assert plan.owners(last).tolist() == [*range(4, 20)]
    assert set(plan.network_of_row(last)) == {3}
    assert [variant.number for variant in plan.variants_of(last)] == [owner % 3 for owner in range(4, 20)]
    own = plan.networks(last)[0]
    assert (own.c_e, own.c_1, own.sync_every) == (0.1, 1.0, 1)
    assert plan.intervals == (1, 100)


def test_a_shared_batch_merges_the_pools() -> None:
    plan = make_plan(scenario(training={"shared_batch": True, "pretrain": {"epochs": 2}}))
    assert np.array_equal(plan.server_pool, plan.rejector_pool)
    both = np.union1d(plan.pools.server, plan.pools.rejector)
    assert np.array_equal(plan.server_pool, both)
    assert plan.steps == 2 * -(-len(both) // 64)


def test_clients_are_dealt_to_rejectors_in_equal_shares() -> None:
    plan = make_plan(scenario(group(clients=5, model=model(variants=2), rejector={"per": "variant"})))
    assert plan.shares(0, 2).tolist() == [0.6, 0.4]


def test_calibration_is_looked_at_as_requests_come() -> None:
    plan = make_plan(scenario(group("plain"), group(partition=NOISY, traffic={"mix": "own"})))
    for place, view in ((0, 0), (1, 1)):
        positions = plan.calibration(place)
        assert np.array_equal(plan.samples.base_id[positions], plan.pools.calibration)
        assert set(plan.samples.view[positions]) == {view}
