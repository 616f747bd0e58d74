"""Which sample a request brings: the mix asked for, keyed by the request and by nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from reference_learning import sample_of
from scipy.stats import chisquare
from worlds import WrittenArrivals, by_class, group_of, made_up, poisson, product, scenario_of, uniform

from sim.messages import Phase
from sim.streams import Draws
from sim.world.population import population
from sim.world.traffic import Traffic, pick, shares

FALSE_ALARM = 1e-6  # of each test of frequencies, over the choice of its seed
DRAWS = 50_000
# Three strata of 2, 0 and 3 samples; the first of two clients is sent half of each, the other the last alone.
STRATA = Phase(
    at_s=0.0,
    positions=np.array([4, 8, 1, 3, 5], np.int32),
    first=np.array([0, 2, 2, 5]),
    upto=np.array([[0.5, 0.5, 1.0], [0.0, 0.0, 1.0]]),
)


def drawn(phase: Phase, member: int, seed: int = 1) -> np.ndarray:
    draw = Draws(seed, "sample").many(np.arange(DRAWS))
    return pick(phase, np.full(DRAWS, member, np.int32), draw)


def test_samples_come_as_often_as_their_shares_say():
    for member, expected in enumerate(([1 / 4, 1 / 4, 1 / 6, 1 / 6, 1 / 6], [0, 0, 1 / 3, 1 / 3, 1 / 3])):
        np.testing.assert_allclose(shares(STRATA, member), expected)
        counts = np.bincount(drawn(STRATA, member), minlength=9)[STRATA.positions]
        assert counts.sum() == DRAWS
        sent = np.array(expected) > 0
        assert not counts[~sent].any()
        assert chisquare(counts[sent], DRAWS * np.array(expected)[sent]).pvalue > FALSE_ALARM


def test_a_uniform_mix_draws_every_sample_alike():
    counts = np.bincount(drawn(uniform(np.arange(37, dtype=np.int32)), 0), minlength=37)
    assert chisquare(counts).pvalue > FALSE_ALARM


def test_within_a_stratum_the_draw_that_chose_it_is_used_up_evenly():
    """The smallest and the largest draw of a stratum give its first and its last sample."""
    edges = np.array([1e-9, 0.25, np.nextafter(0.5, 0), 0.5, np.nextafter(1, 0)])
    assert pick(STRATA, np.zeros(5, np.int32), edges).tolist() == [4, 8, 8, 1, 5]


@pytest.mark.parametrize("seed", range(3))
def test_many_at_once_are_as_one_by_one(seed):
    random = np.random.default_rng(seed)
    axis = made_up(scenario_of(), samples=200, seed=seed).samples
    phase = by_class(axis, np.arange(200, dtype=np.int32), random.dirichlet(np.full(10, 0.2), 7), 0.0)
    member, draw = random.integers(0, 7, 3000).astype(np.int32), random.random(3000)
    told = [sample_of(phase, int(who), float(u)) for who, u in zip(member, draw, strict=True)]
    assert pick(phase, member, draw).tolist() == told


def test_a_drift_holds_from_its_instant_on_by_arrival():
    before, after = uniform(np.array([1], np.int32)), uniform(np.array([2], np.int32), at_s=5.0)
    traffic = Traffic(scenario_of().seed, population(scenario_of()), ((before, after),))
    arrived = np.array([4.0, 5.0 - 2**-20, 5.0, 9.0])
    assert traffic.samples(np.arange(4), np.zeros(4, np.int32), arrived).tolist() == [1, 1, 2, 2]


def test_classes_follow_a_drift_in_a_whole_run():
    """Ten clients, each with a mix of its own until 100 s; then only classes 2 and 5, one to three."""
    weights = tuple(float({2: 1, 5: 3}.get(label, 0)) for label in range(10))
    traffic = {"mix": "dirichlet", "alpha": 0.5, "drift": ({"at_s": 100.0, "classes": weights},)}
    arrivals = {"process": {"kind": "poisson", "rate_hz": 10.0}}
    scenario = scenario_of(
        horizon_s=200.0, fleet=(group_of(clients=10, traffic=traffic, arrivals=arrivals, timeout_s=1.0),)
    )
    learned = made_up(scenario, samples=400)
    requests, _ = product(scenario, learned, poisson(scenario, 60.0), 60.0)
    late = requests[requests["arrived_at_s"] >= 100.0]["label"].value_counts().reindex([2, 5]).to_numpy()
    assert late.sum() == (requests["arrived_at_s"] >= 100.0).sum() > 9000
    assert chisquare(late, late.sum() * np.array([0.25, 0.75])).pvalue > FALSE_ALARM
    first = learned.traffic[0][0]
    for client, rows in requests[requests["arrived_at_s"] < 100.0].groupby("client_id"):
        expected = np.diff(first.upto[client], prepend=0.0)
        counts = np.bincount(rows["label"], minlength=10)
        likely = expected * len(rows) > 5
        rest = [counts[~likely].sum()], [expected[~likely].sum() * len(rows)]
        found, wanted = np.append(counts[likely], rest[0]), np.append(expected[likely] * len(rows), rest[1])
        keep = wanted > 0
        assert chisquare(found[keep], wanted[keep]).pvalue > FALSE_ALARM


def test_two_policies_see_the_same_samples():
    arrivals = WrittenArrivals(tuple((t / 4, t % 3) for t in range(60)))
    drift = ({"at_s": 8.0, "classes": (1.0,) * 10},)

    def samples(**policy: Any) -> list[int]:
        group = group_of(clients=3, traffic={"mix": "dirichlet", "alpha": 1.0, "drift": drift}, policy=policy)
        scenario = scenario_of(fleet=(group | {"timeout_s": 2.0},))
        return product(scenario, made_up(scenario), arrivals, 7.0)[0]["sample_id"].tolist()

    assert samples(score="l2h", price={"kind": "always_local"}) == samples(
        score="entropy", price={"kind": "threshold", "at": 0.1}
    )
