"""Laws of prices: rates that hold, queues that stay short, prices that know no more than their clients."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, exp, inf, log
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tried import tried
from worlds import (
    MadeUpLearner,
    WrittenArrivals,
    by_class,
    group_of,
    made_up,
    poisson,
    product,
    scenario_of,
    uniform,
)

from sim.engine.learning import Learning
from sim.engine.state import at_start
from sim.messages import Learned
from sim.policy.calibration import Curve, curve
from sim.policy.controllers import (
    REMOTE,
    Availability,
    Backlog,
    RateControl,
    VirtualQueue,
    moving_price,
)
from sim.policy.outcomes import Outcome, Request
from sim.policy.prices import asked, decide_all
from sim.registry.prices import PRICES
from sim.results.columns import OUTCOMES
from sim.scenario import Scenario
from sim.scenario.schema.fleet import Policy
from sim.streams import Draws
from sim.world.world import World

TIMED_OUT = OUTCOMES.index("timed_out")


ASKED = Request(0, 0, 0.0, 0.0, inf, 0, 0.0)


def heard(outcome: int, backlog: int) -> Outcome:
    """What a price is told of an attempt that ended, where only this counts."""
    return Outcome(0, 0, 0.0, 0, 0.0, outcome, backlog, -1, -1)


def curve_of(scores: np.ndarray) -> Curve:
    every = uniform(np.arange(len(scores), dtype=np.int32))
    return curve(scores[None, :], np.zeros(1, np.int32), every, np.zeros(1, np.int64))


# bounded_rate


@pytest.mark.parametrize("kind", ["bounded_rate", "bounded_rate_thinned"])
@pytest.mark.parametrize("coarse", [False, True])
def test_a_bounded_rate_holds_on_samples_that_it_was_not_calibrated_on(kind, coarse):
    """Within 3·√(ρ(1-ρ)(1/n_cal + 1/n)), n distinct samples: a chance of 0.27% to miss, so of 1,000 worlds
    more than 12 miss with a chance below 1e-5. Coarse scores tie by the dozen."""
    draw, missed = np.random.default_rng(1), 0
    for _ in range(1000):
        rate, n_cal, n = draw.uniform(0.05, 0.95), draw.integers(50, 400), draw.integers(50, 400)
        scores = draw.normal(draw.normal(), draw.uniform(0.5, 3), n_cal + n)
        scores = (np.round(scores) if coarse else scores).astype(np.float32)
        ruled = Policy.model_validate({"score": "l2h", "price": {"kind": kind, "rate": rate}})
        curves = ((np.arange(n), curve_of(scores[:n_cal])),)
        found = decide_all(asked(ruled, scores[n_cal:], draw.random(n), curves))
        spread = np.sqrt(rate * (1 - rate) * (1 / n_cal + 1 / n))
        missed += abs(found.propensity.mean() - rate) > 3 * spread
    assert missed <= 12


def test_many_requests_keep_to_the_rate_that_their_samples_have():
    """Through the whole loop: 400 samples calibrate, 400 others come; requests repeat them."""
    scenario = scenario_of(
        horizon_s=400.0,
        fleet=(
            group_of(clients=40, policy={"score": "l2h", "price": {"kind": "bounded_rate", "rate": 0.3}}),
        ),
        server={"replicas": 40, "service": {"kind": "affine", "base_s": 0.01}},
    )
    requests, _ = product(scenario, split(scenario, 400), poisson(scenario, 60.0), 60.0)
    assert len(requests) > 15_000
    of_samples = 3 * np.sqrt(0.21 * (1 / 400 + 1 / 400))
    assert abs(requests["deferred"].mean() - 0.3) < of_samples + 3 * np.sqrt(0.21 / len(requests))


def split(scenario: Scenario, each: int, drifts: bool = False) -> Learned:
    """Tables of `each` calibration samples and as many for traffic; all clients have one score, which grows
    with the class if `drifts`."""
    learned = made_up(scenario, 2 * each)
    draw, index = np.random.default_rng(2), np.arange(2 * each, dtype=np.int32)
    scores = draw.normal(size=2 * each) + (0.3 * learned.samples.label if drifts else 0.0)
    for table in learned.tables.groups:
        table.score[:] = scores
    base = uniform(index[each:])
    phases = [
        [
            base,
            *(
                by_class(learned.samples, index[each:], np.array([d.classes]), d.at_s)
                for d in g.traffic.drift
            ),
        ]
        for g in scenario.fleet
    ]
    return Learned(
        **vars(learned)
        | {
            "traffic": tuple(tuple(one) for one in phases),
            "calibration": tuple(uniform(index[:each]) for _ in scenario.fleet),
        }
    )


ONLINE = {"every_s": 5.0, "steps": 1, "step_s": 0.1, "rejector_steps": 1, "rejector_step_s": 0.1}


def test_a_version_is_calibrated_on_the_clients_that_learn_it():
    """Half of the clients are cut off when version 1 comes into force, and what its table says of them was
    never learned."""
    target = {"kind": "links", "groups": ("devices",), "share": 0.5}
    outage = {"when": {"kind": "intervals", "at": ((1.0, 60.0),)}, "target": target}
    scenario = scenario_of(
        fleet=(group_of(clients=4, policy={"score": "l2h", "price": {"kind": "bounded_rate", "rate": 0.5}}),),
        server={"service": {"kind": "affine", "base_s": 1.0}, "outages": (outage,)},
        training={"online": ONLINE},
    )
    learned = made_up(scenario)
    learning = Learning(World(scenario), learned, MadeUpLearner(scenario, learned))
    learning.attend(at_start(World(scenario)), 5.0)
    learners = learning.schedule.rejectors.clients_of(1)
    assert len(learners) == 2
    for version, members in ((0, np.arange(4)), (1, learners)):
        table, met = learning.models.table(0, version), learned.calibration[0]
        expected = curve(table[members], np.arange(len(members), dtype=np.int32), met, members)
        found = learning.curve(0, version)
        assert found.score.tolist() == expected.score.tolist()
        assert found.upto.tolist() == expected.upto.tolist()


# rate_controller


@settings(deadline=None)
@given(
    st.floats(0, 1),
    st.floats(0.001, 3),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=200),
)
def test_a_controlled_rate_is_kept_whatever_the_scores(rate, gain, requests):
    """|sent/n - rate| <= (1 + gain)/(gain·n) after every n: the price moves by gain for each send too many,
    and from beyond [0, 1] it can only come back."""
    values = np.array([low + luck * (1 - low) for low, luck in requests])
    price = RateControl(rate, gain)
    p, own, n, sent = price.parameters(), list(price.begin()), len(values), []
    for value in values.tolist():
        sent.append(value > price.threshold(p, own, 0.0, ASKED))
        price.on_decision(p, own, 0.0, sent[-1])
    off = np.abs(np.cumsum(sent) - rate * np.arange(1, n + 1))
    assert np.all(off <= (1 + gain) / gain * (1 + 1e-9))


@pytest.mark.parametrize("gain", [0.02, 0.1])
def test_a_controlled_rate_is_within_half_a_point_after_settling_also_under_drift(gain):
    """Classes that score high come from 600 s on, so the fixed quantile sends far too much."""
    group = group_of(clients=40, arrivals={"process": {"kind": "poisson", "rate_hz": 2.0}})
    found = {}
    for kind, more in (("rate_controller", {"gain": gain}), ("bounded_rate", {})):
        drift = ({"at_s": 600.0, "classes": (*(0.2,) * 5, *(1.0,) * 5)},)
        policy = {"score": "l2h", "price": {"kind": kind, "rate": 0.25, **more}}
        scenario = scenario_of(
            horizon_s=1200.0,
            fleet=(group | {"policy": policy, "traffic": {"mix": "all", "drift": drift}},),
            server={"replicas": 40, "service": {"kind": "affine", "base_s": 0.01}},
        )
        requests, _ = product(scenario, split(scenario, 200, drifts=True), poisson(scenario, 60.0), 60.0)
        at = requests["decided_at_s"]
        found[kind] = [
            requests[(at >= begin) & (at < begin + 400)]["deferred"].mean() for begin in (200.0, 800.0)
        ]
    assert np.abs(np.array(found["rate_controller"]) - 0.25).max() < 0.005
    assert found["bounded_rate"][1] > 0.35


# drift_plus_penalty


@settings(deadline=None)
@given(
    st.floats(0.1, 50),
    st.floats(0.01, 5),
    st.lists(st.tuples(st.floats(0, 3), st.floats(-1, 1)), min_size=1, max_size=200),
)
def test_a_virtual_queue_stays_short_and_limits_every_stretch_of_time(v, rate_hz, requests):
    """Q <= V·G + 1 where nothing gains more than G = 1, so in t seconds at most rate·t + V + 1 are sent."""
    price, own = VirtualQueue(v, rate_hz), [0.0, 0.0]
    at = np.cumsum([gap for gap, _ in requests])
    sent = []
    for now, (_, gain) in zip(at.tolist(), requests, strict=True):
        is_sent = gain > price.threshold(price.parameters(), own, now, ASKED)
        price.on_decision(price.parameters(), own, now, is_sent)
        sent += [now] if is_sent else []
        assert own[0] <= v + 1 + 1e-6
    for i, begin in enumerate(sent):
        for n, end in enumerate(sent[i:], start=1):
            assert n <= rate_hz * (end - begin) + v + 1 + 1e-6


def test_the_long_run_rate_is_the_limit_where_more_would_gain():
    group = group_of(clients=20, arrivals={"process": {"kind": "poisson", "rate_hz": 2.0}})
    policy = {"score": "plug_in", "price": {"kind": "drift_plus_penalty", "v": 10.0, "rate_hz": 0.4}}
    scenario = scenario_of(
        horizon_s=1000.0,
        fleet=(group | {"policy": policy},),
        server={"replicas": 20, "service": {"kind": "affine", "base_s": 0.01}},
    )
    requests, _ = product(scenario, made_up(scenario), poisson(scenario, 60.0), 60.0)
    sent = requests[requests["deferred"] & (requests["decided_at_s"] >= 200.0)]
    assert len(sent) / 20 / 800.0 == pytest.approx(0.4, abs=(10 * 3 + 1) / 800.0)
    assert sent["score"].mean() > requests["score"].mean() + 0.5  # what gains most goes first


# availability_aware


@settings(deadline=None)
@given(st.floats(0.01, 0.3), st.floats(0.35, 1.0), st.floats(0.5, 60), st.floats(0.1, 5), st.floats(0.1, 60))
def test_it_stops_after_a_few_failures_and_comes_back_after_a_few_probes(c_e, gain, memory_s, gap_s, probe_s):
    """With failures every `gap_s` what gains G is kept from memory·ln(G/c_e) on: that many failures, and one
    more. With answers every `probe_s` it is sent again once a > c_e/G: after memory/probe·ln(1/(1 - c_e/G))
    probes, rounded up, from whatever a."""
    price = Availability(c_e, memory_s, probe_s, 1.0, 0.0)
    own, now, failures = [1.0, 1.0, 0.0, 1e9], 0.0, 0
    while gain > price.threshold(price.parameters(), own, now, ASKED):
        now, failures = now + gap_s, failures + 1
        price.on_outcome(price.parameters(), own, now, heard(TIMED_OUT, -1))
    assert failures <= floor_of(memory_s * log(gain / c_e) / gap_s) + 1
    own[0], own[3], probes = 0.0, 1e9, 0
    while not gain > price.threshold(price.parameters(), own, now, ASKED):
        now, probes = now + probe_s, probes + 1
        price.on_outcome(price.parameters(), own, now, heard(REMOTE, 0))
    assert probes <= ceil(memory_s / probe_s * log(1 / (1 - c_e / gain)) - 1e-6) + (probe_s < 1e-6)


def floor_of(number: float) -> int:
    return int(number + 1e-6)


COSTS = {"c_e": 0.2, "c_1": 1.0}
LEVELS = np.array([-0.3, 0.1, 0.24, 0.36, 0.5, 0.8])  # of gains; none near c_e/a = 0.286 or c_e


def intermittent(seed: int, charge_on: str, when_down: str) -> Scenario:
    """A server that works 70% of the time, in cycles far shorter than its clients remember."""
    outage = {"when": {"kind": "intermittent", "availability": 0.7, "mean_cycle_s": 2.0}}
    price = {"kind": "availability_aware", "memory_s": 100.0, "probe_every_s": 1e6}
    group = group_of(
        clients=10,
        arrivals={"process": {"kind": "poisson", "rate_hz": 3.0}},
        policy={"score": "plug_in", "price": price},
        timeout_s=0.05,
    )
    server = {
        "replicas": 20,
        "service": {"kind": "affine", "base_s": 0.001},
        "when_down": when_down,
        "outages": (outage | {"target": {"kind": "server"}},),
    }
    return scenario_of(
        seed=seed, horizon_s=600.0, fleet=(group,), server=server, costs=COSTS | {"charge_on": charge_on}
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("charge_on", "when_down", "charged"),
    [("send", "silent", 1.0), ("answer", "silent", 0.7), ("accept", "refuse", 0.7)],
)
def test_the_risk_is_the_closed_form_of_the_learning(charge_on, when_down, charged):
    """Send iff gain > c_e·P(charged)/a, and the risk that this has under c_e·P(charged) + a·c_1·1[e≠y] +
    (1 - a)·1[m≠y], from the tables; after three memories the simulation says the same, over ten time lines of
    outages, within four standard errors (a chance of 0.3% to miss, ten being few)."""
    measured, sets = [], []
    for seed in range(10):
        scenario = intermittent(seed, charge_on, when_down)
        learned = levelled(scenario)
        requests, _ = product(scenario, learned, poisson(scenario, 60.0), 60.0)
        settled = requests[requests["decided_at_s"] >= 300.0]
        measured.append((settled["cost"] + ~settled["correct"]).mean())
        scores = settled[settled["deferred"]]["score"].to_numpy(np.float64)
        sets.append(set(np.round(scores, 2).tolist()))
    price = 0.2 * charged / 0.7
    assert sets == [{gain for gain in LEVELS.tolist() if gain > price}] * 10
    table, a = learned.tables, 0.7
    positions = learned.traffic[0][0].positions
    wrong_client = (table.groups[0].client_label[0] != learned.samples.label)[positions]
    wrong_server = (table.server_label != learned.samples.label)[positions]
    remote = 0.2 * charged + a * wrong_server + (1 - a) * wrong_client
    is_sent = table.groups[0].score[0][positions] > price
    predicted = np.where(is_sent, remote, wrong_client).mean()
    error = np.std(measured, ddof=1) / np.sqrt(len(measured))
    assert error < 0.01
    assert abs(np.mean(measured) - predicted) < 4 * error


def levelled(scenario: Scenario) -> Learned:
    """Gains at few levels, and a server that is the better the larger the gain."""
    learned = made_up(scenario, 60)
    draw = np.random.default_rng(3)
    level = draw.integers(0, len(LEVELS), 60)
    learned.tables.groups[0].score[:] = LEVELS[level]
    label = learned.samples.label
    right = draw.random(60) < 0.4 + 0.5 * level / len(LEVELS)
    learned.tables.server_label[:] = np.where(right, label, (label + 1) % 10)
    return learned


# What a price knows


MEMORIES = [price for price in PRICES.examples().values() if PRICES[price["kind"]].keeps_state]
each_memory = pytest.mark.parametrize("price", MEMORIES, ids=str)


def crowd(price: dict[str, Any], *down: tuple[float, float], clients: int = 6) -> Scenario:
    """Clients before one busy replica that fails."""
    outages = ({"when": {"kind": "intervals", "at": down}, "target": {"kind": "server"}},) if down else ()
    group = group_of(
        clients=clients,
        policy={"score": "plug_in", "price": price},
        link={"latency": {"kind": "exponential", "mean_s": 0.1}},
        timeout_s=2.0,
    )
    server = {
        "queue_limit": 4,
        "when_down": "refuse",
        "outages": outages,
        "service": {"kind": "per_batch", "time": {"kind": "exponential", "mean_s": 0.5}},
    }
    return scenario_of(horizon_s=60.0, fleet=(group,), server=server, costs={"c_e": 0.3})


@each_memory
def test_a_client_alone_with_what_it_heard_decides_the_same(price):
    """Its own scores, instants and replies, fed to a fresh price one after the other; all else is left out.

    What a reply said of the queue is counted from everybody's sends, as the server would."""
    scenario = crowd(price, (20.0, 30.0))
    requests, _ = product(scenario, sensible(scenario), poisson(scenario, 60.0), 7.25)
    requests = requests[requests["decided_at_s"].notna()]
    ruled = moving_price(scenario, scenario.fleet[0])
    value = (
        standings(scenario, requests)
        if price["kind"] == "rate_controller"
        else requests["score"].astype(float)
    )
    decided_differently = set()
    for client in range(6):
        own, known = list(ruled.begin()), []
        mine = requests[requests["client_id"] == client]
        for row in mine.itertuples():
            known.append((row.decided_at_s, 1, value[row.Index], row))
            if row.outcome in ("remote", "refused", "timed_out"):
                said = -1 if row.outcome == "timed_out" else waiting(requests, row)
                known.append((row.answered_at_s, 0, said, row))
        for now, is_decision, what, row in sorted(known, key=lambda one: one[:2]):
            if is_decision:
                is_sent = what > ruled.threshold(ruled.parameters(), own, now, told_of(scenario, row))
                assert is_sent == row.deferred
                ruled.on_decision(ruled.parameters(), own, now, is_sent)
                decided_differently.add(is_sent)
            else:
                ruled.on_outcome(ruled.parameters(), own, now, told_by(row, what))
    assert decided_differently == {True, False}


def told_of(scenario: Scenario, row: Any) -> Request:
    """A request as its client knows it."""
    draw = Draws(scenario.seed, "policy").one(row.request_id)
    return Request(row.request_id, row.client_id, row.score, row.arrived_at_s, inf, row.client_label, draw)


def told_by(row: Any, backlog: int) -> Outcome:
    """What its end told of it."""
    label = row.server_label if row.outcome == "remote" else -1
    outcome = OUTCOMES.index(row.outcome)
    return Outcome(
        row.request_id, row.client_id, row.score, 0, row.sent_at_s, outcome, backlog, label, row.client_label
    )


def standings(scenario: Scenario, requests: pd.DataFrame) -> pd.Series:
    """Each request's place among the calibration scores of its group, by its own luck."""
    learned = made_up(scenario)
    met, table = learned.calibration[0], learned.tables.groups[0].score
    known = curve(table, np.arange(6, dtype=np.int32), met, np.arange(6))
    low, high = known.shares(requests["score"].to_numpy(np.float32))
    luck = Draws(scenario.seed, "price").many(requests["request_id"].to_numpy())
    return pd.Series(low + luck * (high - low), index=requests.index)


def waiting(requests: pd.DataFrame, row: Any) -> int:
    """How many wait when a word leaves the server: an answer as its batch ends, an error at the door. The
    queue survives outages, so who waits stays until it is started."""
    left = row.finished_at_s if row.outcome == "remote" else row.reached_at_s
    came = (requests["reached_at_s"] < left) & ~requests["server_cause"].isin(["down", "queue_full"])
    return int((came & ~(requests["started_at_s"] < left)).sum())


@each_memory
def test_nobody_knows_of_an_outage_before_it_was_told(price):
    """Until a client's replies differ it decides as in the world without the outage."""
    with_outage, without = (
        product(scenario, sensible(scenario), poisson(scenario, 60.0), 60.0)[0]
        for scenario in (crowd(price, (20.0, 40.0)), crowd(price))
    )
    before = with_outage["decided_at_s"] < 20.0
    columns = ["request_id", "decided_at_s", "deferred", "propensity"]
    pd.testing.assert_frame_equal(with_outage[before][columns], without[before][columns])
    differs = (with_outage["deferred"] != without["deferred"]).any()
    assert differs == PRICES[price["kind"]].uses_feedback


def sensible(scenario: Scenario) -> Learned:
    """Made up, with clients that are right iff their score is below 0."""
    learned = made_up(scenario)
    (table,) = learned.tables.groups
    server = learned.tables.server_label
    table.client_label[:] = np.where(table.score[0] < 0, server, (server + 1) % 10)
    return learned


@tried(30)
@given(st.sampled_from(MEMORIES), st.integers(0, 5))
def test_who_else_there_is_matters_only_through_replies(price, seed):
    """Before a server that is never busy and never fails, a client among six decides as it does alone."""

    def decisions(clients: int) -> pd.DataFrame:
        scenario = crowd(price, clients=clients).model_copy(update={"seed": seed})
        server = scenario.server.model_copy(update={"replicas": 60})
        scenario = scenario.model_copy(update={"server": server})
        learned = made_up(scenario)
        for table in learned.tables.groups:  # one score for all, so that the curve does not depend on them
            table.score[:] = np.linspace(-1, 1, 40)
            table.client_label[:] = np.arange(40) % 10
        learned.tables.server_label[:] = np.arange(40) % 7
        times = [(float(t), 0) for t in np.random.default_rng(seed).uniform(0, 59, 40)]
        others = [(float(t), c) for c in range(1, clients) for t in np.arange(0.5, 59, 0.7)]
        requests, _ = product(scenario, learned, WrittenArrivals((*times, *others)), 60.0)
        return requests[requests["client_id"] == 0].reset_index(drop=True)

    columns = ["request_id", "decided_at_s", "deferred", "propensity", "outcome"]
    pd.testing.assert_frame_equal(decisions(6)[columns], decisions(1)[columns])


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 50)), min_size=1, max_size=20), st.floats(0, 1))
def test_the_price_of_a_queue_is_what_was_told_last_and_fades(words, weight):
    price, own, now = Backlog(0.1, weight, 5.0), [0.0, 0.0], 0.0
    for gap, said in words:
        now += gap
        price.on_outcome(price.parameters(), own, now, heard(REMOTE, said))
        price.on_outcome(price.parameters(), own, now, heard(TIMED_OUT, -1))
        assert price.threshold(price.parameters(), own, now, ASKED) == 0.1 + weight * said
    assert price.threshold(price.parameters(), own, now + 5.0, ASKED) == pytest.approx(
        0.1 + weight * words[-1][1] * exp(-1)
    )
    falling = [price.threshold(price.parameters(), own, now + t, ASKED) for t in range(30)]
    assert all(later <= earlier for earlier, later in pairwise(falling))


def test_all_prices_meet_the_same_traffic():
    """Under one seed: the same requests, samples and decision instants, and what two of them send takes as
    long to the server."""
    found = []
    for price in [*MEMORIES, {"kind": "bounded_rate", "rate": 0.4}, {"kind": "always_remote"}]:
        scenario = crowd(price)
        requests, _ = product(scenario, made_up(scenario), poisson(scenario, 60.0), 60.0)
        requests["up_s"] = requests["reached_at_s"] - requests["sent_at_s"]
        found.append(requests)
    for one, other in pairwise(found):
        columns = ["request_id", "sample_id", "arrived_at_s", "decided_at_s", "score"]
        pd.testing.assert_frame_equal(one[columns], other[columns])
        both = one["up_s"].notna() & other["up_s"].notna()
        assert both.sum() > 20
        np.testing.assert_array_equal(one[both]["up_s"], other[both]["up_s"])
