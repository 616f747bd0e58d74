"""Intervals: they cover the truth as often as they say, and take repeated samples for one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analysis.metrics.validity import LEAST_CLIENTS
from analysis.statistics.clusters import clusters
from analysis.statistics.estimates import LEAST_SAMPLES, wilson
from analysis.statistics.leverage import by_cluster, shape_of

Columns = tuple[np.ndarray, ...]


def crossed(
    rng: np.random.Generator, clients: int, bases: int, count: int, client_spread: float = 0.1
) -> Columns:
    """Requests of random clients about random samples; both differ in how often they are right (mean 0.7).

    The last column is right wherever the third is, and sometimes where it is not: 0.03 more on average.
    """
    client, base = rng.integers(0, clients, count), rng.integers(0, bases, count)
    ability = rng.uniform(-client_spread, client_spread, clients)
    chance = 0.7 + ability[client] + rng.uniform(-0.2, 0.2, bases)[base]
    # An answer is a look-up: the same client gives the same answer to the same sample.
    right = rng.random((clients, bases))[client, base] < chance
    helped = rng.random((clients, bases))[client, base] < rng.uniform(0, 0.2, bases)[base]
    return client, base, right, right | helped


# With a coverage of 95%, 1000 worlds have a standard error of 0.7 points: 93 to 97% is three of them, so
# that each of these tests fails by chance once in three hundred seeds. Intervals of shares are wider by
# design, so half a point more may pass. The power: intervals a tenth narrower fail, and those of shares
# a tenth wider.
@pytest.mark.slow
@pytest.mark.parametrize(("clients", "bases", "count"), [(30, 60, 1500), (40, 100, 4000), (12, 181, 6000)])
def test_nominal_95_covers_between_93_and_97(clients: int, bases: int, count: int) -> None:
    rng = np.random.default_rng(5)
    everyone = np.ones(count, dtype=bool)
    ends = {"share": [], "mean": [], "difference": []}
    for _ in range(1000):
        client, base, right, helped = crossed(rng, clients, bases, count)
        cells = clusters(client, base)
        ends["share"].append(cells.share(right, everyone))
        ends["mean"].append(cells.mean(1.0 * right, everyone))
        ends["difference"].append(cells.mean(1.0 * helped - right, everyone))
    truth = {"share": 0.7, "mean": 0.7, "difference": 0.3 * 0.1}
    covered = {
        name: np.mean([reported["low"] <= truth[name] <= reported["high"] for reported in found])
        for name, found in ends.items()
    }
    assert all(0.93 <= share <= 0.975 for share in covered.values()), covered


def grouped(rng: np.random.Generator, activity: np.ndarray, groups: int) -> Columns:
    """4,000 requests of clients of so many groups, right in .45, .70, .75 of them, and unequally active."""
    clients = activity.size * groups
    group = np.repeat(np.arange(groups), activity.size)
    chance = np.tile(activity / activity.sum(), groups) / groups
    client, base = rng.choice(clients, 4000, p=chance), rng.integers(0, 100, 4000)
    right = np.array([0.45, 0.70, 0.75])[:groups][group] + rng.uniform(-0.1, 0.1, clients)
    probability = right[client] + rng.uniform(-0.2, 0.2, 100)[base]
    return client, base, group[client], rng.random((clients, 100))[client, base] < probability


# 400 worlds: a standard error of 1.1 points. Few clients that make most of the requests are told by wide
# intervals, which cover a little more than they say.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("activity", "groups"),
    [(np.ones(20), 3), (1 / np.arange(1, 41), 1), (1 / np.arange(1, 21), 3), (np.ones(8), 3)],
    ids=["alike", "zipf", "zipf in groups", "few"],
)
def test_intervals_cover_groups_that_differ_and_clients_of_unequal_activity(
    activity: np.ndarray, groups: int
) -> None:
    rng, hits, truth = np.random.default_rng(11), [], float(np.mean([0.45, 0.70, 0.75][:groups]))
    for _ in range(400):
        client, base, group, right = grouped(rng, activity, groups)
        found = clusters(client, base, group).mean(right * 1.0, np.ones(4000, dtype=bool))
        hits.append(found["low"] <= truth <= found["high"])
    assert 0.925 <= np.mean(hits) <= 0.985


def test_how_far_groups_lie_apart_is_no_chance() -> None:
    rng = np.random.default_rng(12)
    client, base, group, right = grouped(rng, np.ones(20), 3)
    everyone = np.ones(4000, dtype=bool)
    within, across = (
        cells.mean(right * 1.0, everyone) for cells in (clusters(client, base, group), clusters(client, base))
    )
    assert within["value"] == across["value"]
    assert across["high"] - across["low"] > 1.4 * (within["high"] - within["low"])


def test_unequal_clusters_count_as_fewer() -> None:
    """Of equal ones the degrees of freedom are their number less one."""
    values, stratum = np.random.default_rng(13).normal(size=12), np.zeros(12, dtype=np.int64)
    (variance, freedom), (_, fewer) = (
        by_cluster(values, stratum, shape_of(sizes, stratum))
        for sizes in (np.ones(12), 1 / np.arange(1.0, 13))
    )
    assert freedom == pytest.approx(11)
    assert variance == pytest.approx((values**2).sum() * 12 / 11)
    assert fewer < 7


def test_repeating_requests_does_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(6)
    client, base, right, _ = crossed(rng, 20, 40, 400)
    once = clusters(client, base).share(right, np.ones(400, dtype=bool))
    again = [np.tile(column, 25) for column in (client, base, right)]
    often = clusters(again[0], again[1]).share(again[2], np.ones(10_000, dtype=bool))
    assert often["value"] == pytest.approx(once["value"])
    assert (often["low"], often["high"]) == pytest.approx((once["low"], once["high"]))
    assert (often["n"], often["samples"]) == (10_000, once["samples"])


def test_interval_does_not_depend_on_the_order_of_requests() -> None:
    rng = np.random.default_rng(7)
    client, base, right, _ = crossed(rng, 20, 40, 400)
    everyone, order = np.ones(400, dtype=bool), rng.permutation(400)
    first = clusters(client, base).share(right, everyone)
    assert first == pytest.approx(clusters(client[order], base[order]).share(right[order], everyone))


def test_variance_by_hand() -> None:
    # Two clients, three samples, one request each: u = (value - mean) / 6 with mean 2.
    client, base = np.repeat([0, 1], 3), np.tile([0, 1, 2], 2)
    values = np.array([1.0, 2.0, 3.0, 0.0, 1.0, 5.0])
    u = (values - 2) / 6
    by_client = (u[:3].sum() ** 2 + u[3:].sum() ** 2) * 2 / 1
    by_base = sum((u[k] + u[k + 3]) ** 2 for k in range(3)) * 3 / 2
    cells = clusters(client, base)
    influence = (cells.sums(values) - values.mean() * cells.sums(np.ones(6))) / 6
    spread = cells.spread(influence, np.ones(6))
    assert spread.variance == pytest.approx(by_client + by_base - (u**2).sum())
    assert spread.freedom == max(1.0, spread.variance**2 / (by_client**2 / 1 + by_base**2 / 2))


def test_with_a_request_per_sample_and_client_it_is_students_interval() -> None:
    values = np.random.default_rng(8).normal(size=30)
    reported = clusters(np.arange(30), np.arange(30)).mean(values, np.ones(30, dtype=bool))
    half = stats.t.ppf(0.975, 29) * values.std(ddof=1) / np.sqrt(30)
    # Both ways of clustering are the same here, which costs half of the degrees of freedom.
    assert (reported["high"] - reported["low"]) / 2 == pytest.approx(half, rel=0.06)


def where_samples_are_hard(clients: int, bases: int, chance: float, worlds: int = 400) -> float:
    """The share of worlds whose interval holds `chance`; half of what is wrong lies in a few samples, which
    all clients get wrong. Each client asks about each sample five times."""
    rng, hits = np.random.default_rng(8), 0
    client, base = np.repeat(np.arange(clients), 5 * bases), np.tile(np.arange(bases), 5 * clients)
    cells, everyone = clusters(client, base), np.ones(client.size, dtype=bool)
    for _ in range(worlds):
        hard = rng.random(bases) < (1 - chance) / 2
        other = rng.random((clients, bases)) < 1 - chance / (1 - (1 - chance) / 2)
        reported = cells.share(~(hard[base] | other[client, base]), everyone)
        hits += reported["low"] <= chance <= reported["high"]
    return hits / worlds


# Nominal 95% in 400 worlds has a standard error of 1.1 points; where nearly all is right it may be wider.
@pytest.mark.parametrize(("bases", "chance"), [(30, 0.99), (30, 0.95), (100, 0.99)])
def test_interval_covers_where_nearly_all_is_right(bases: int, chance: float) -> None:
    assert where_samples_are_hard(clients=20, bases=bases, chance=chance) >= 0.93


def test_interval_covers_from_the_number_of_clients_that_a_valid_run_needs() -> None:
    rng, hits = np.random.default_rng(9), 0
    for _ in range(400):
        client, base, right, _ = crossed(rng, LEAST_CLIENTS, 60, 600, client_spread=0.2)
        reported = clusters(client, base).share(right, np.ones(600, dtype=bool))
        hits += reported["low"] <= 0.7 <= reported["high"]
        assert reported["clients"] == LEAST_CLIENTS
    assert hits / 400 >= 0.92


def test_everything_right_still_leaves_uncertainty() -> None:
    # Wilson's interval for 30 of 30: 1 / (1 + 1.96^2 / 30)
    client, base = np.repeat(np.arange(10), 30), np.tile(np.arange(30), 10)
    reported = clusters(client, base).share(np.ones(300, dtype=bool), np.ones(300, dtype=bool))
    assert (reported["low"], reported["high"]) == pytest.approx((30 / (30 + 1.959963984540054**2), 1.0))


@pytest.mark.parametrize(("samples", "has"), [(LEAST_SAMPLES - 1, False), (LEAST_SAMPLES, True)])
def test_interval_needs_ten_distinct_samples(samples: int, has: bool) -> None:
    base = np.arange(100) % samples
    reported = clusters(np.arange(100) % 7, base).share(base > 3, np.ones(100, dtype=bool))
    assert (reported["low"] is not None) == (reported["high"] is not None) == has
    assert (reported["samples"], reported["clients"]) == (samples, 7)


def test_nothing_and_a_single_sample_have_no_interval() -> None:
    cells = clusters(np.array([0, 1]), np.array([4, 4]))
    nothing = cells.share(np.array([True, False]), np.zeros(2, dtype=bool))
    assert nothing == {"value": None, "low": None, "high": None, "n": 0, "samples": 0, "clients": 0}
    one = cells.share(np.array([True, False]), np.ones(2, dtype=bool))
    assert one == {"value": 0.5, "low": None, "high": None, "n": 2, "samples": 1, "clients": 2}


def test_one_client_has_an_interval_by_its_samples() -> None:
    values = np.random.default_rng(3).normal(size=50)
    reported = clusters(np.zeros(50, dtype=int), np.arange(50)).mean(values, np.ones(50, dtype=bool))
    half = stats.t.ppf(0.975, 49) * values.std(ddof=1) / np.sqrt(50)
    assert (reported["high"] - reported["low"]) / 2 == pytest.approx(half, rel=0.03)


def test_wilson_at_another_level_is_narrower() -> None:
    wide, narrow = wilson(0.4, 50), wilson(0.4, 50, 1.0)
    assert wide[0] < narrow[0] < 0.4 < narrow[1] < wide[1]
