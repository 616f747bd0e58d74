"""Queueing theory: where a formula knows the answer, the simulator must find it.

Each figure is the mean over independent runs, compared by a t-test (`agreement`): a right simulator would
fail one comparison once in a thousand sets of seeds; the seeds are fixed, so what passes goes on passing.
Each also claims the relative error that it finds with probability 0.9, and fails if its runs scatter too
much for that. Waits are in units of the mean service time. Loads stay at or below 0.8: above, runs long
enough to forget how they began cost more than they tell, and the recursions judge those loads exactly.
"""

from __future__ import annotations

import json
from math import exp, sqrt

import numpy as np
import pytest
from agreement import Statistics, assert_agreement, replicate, with_truth
from formulas import (
    cobham,
    erlang_b,
    erlang_c,
    md1_wait_beyond,
    mean_wait_in_batches,
    mean_wait_with_breakdowns,
    mmc_wait_beyond,
    mmck,
    pollaczek_khinchine,
)
from queues import EXPONENTIAL, MEAN_S, Run, queue
from scipy.special import gamma

from sim.scenario import Scenario


def waiting(*beyond: float) -> Statistics:
    """The mean wait, the share that waits, and the shares that wait longer than `beyond` service times."""

    def statistics(run: Run) -> dict[str, float]:
        waits = run.waits()
        tail = {f"P(wait > {t:g})": float((waits > t).mean()) for t in beyond}
        return {"mean wait": float(waits.mean()), "P(wait)": float((waits > 0).mean())} | tail

    return statistics


def controlled(statistics: Statistics) -> Statistics:
    """With the chance of the draws, whose expectations `expected` knows."""
    return lambda run: {**statistics(run), **run.chance()}


def expected(rate: float, cv: float) -> dict[str, float]:
    return {"rate": rate, "E[S]": 1.0, "E[S²]": 1.0 + cv * cv}


def share(outcome: str) -> Statistics:
    def statistics(run: Run) -> dict[str, float]:
        return {outcome: float((run.settled["outcome"] == outcome).mean())}

    return statistics


def mean_wait(run: Run) -> dict[str, float]:
    return {"mean wait": float(run.waits().mean())}


def refused_and_wait(run: Run) -> dict[str, float]:
    return share("refused")(run) | mean_wait(run)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("load", "horizon_s", "finds"),
    [
        (0.5, 1500, {"mean wait": 0.07, "P(wait)": 0.02, "P(wait > 2)": 0.07, "P(wait > 5)": 0.16}),
        (0.8, 2000, {"mean wait": 0.08, "P(wait)": 0.01, "P(wait > 2)": 0.03, "P(wait > 5)": 0.08}),
    ],
)
def test_mm1(load, horizon_s, finds):
    """W = load / (1 - load); the wait is 0 with probability 1 - load, else exponential."""
    scenario = queue(load, f"horizon_s={horizon_s}")
    simulated = replicate(scenario, range(1000, 1030), controlled(waiting(2.0, 5.0)))
    exact = {
        "mean wait": load / (1 - load),
        "P(wait)": load,
        "P(wait > 2)": mmc_wait_beyond(1, load, 2.0),
        "P(wait > 5)": mmc_wait_beyond(1, load, 5.0),
    }
    assert_agreement(with_truth(simulated, exact, expected(load, 1.0)), finds)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("servers", "load", "horizon_s", "finds"),
    [
        (4, 0.8, 800, {"mean wait": 0.1, "P(wait)": 0.02, "P(wait > 0.2)": 0.03, "P(wait > 0.5)": 0.05}),
        (16, 0.8, 300, {"mean wait": 0.15, "P(wait)": 0.04, "P(wait > 0.2)": 0.1, "P(wait > 0.5)": 0.2}),
    ],
)
def test_mmc(servers, load, horizon_s, finds):
    """Erlang C, and an exponential tail of rate c - load·c."""
    scenario = queue(load, f"horizon_s={horizon_s}", servers=servers)
    simulated = replicate(scenario, range(2000, 2030), controlled(waiting(0.2, 0.5)))
    waits = erlang_c(servers, load * servers)
    exact = {
        "mean wait": waits / (servers * (1 - load)),
        "P(wait)": waits,
        "P(wait > 0.2)": mmc_wait_beyond(servers, load, 0.2),
        "P(wait > 0.5)": mmc_wait_beyond(servers, load, 0.5),
    }
    assert_agreement(with_truth(simulated, exact, expected(load * servers, 1.0)), finds)


@pytest.mark.slow
@pytest.mark.parametrize("load", [0.8, 1.5])
def test_mmck(load):
    """Two servers, three places to wait: who comes to five is refused. A load above 1 is stationary here."""
    scenario = queue(load, "server.queue_limit=3", "horizon_s=600", servers=2)
    simulated = replicate(scenario, range(3000, 3020), refused_and_wait)
    loss, wait = mmck(2, 3, load)
    exact = {"refused": loss, "mean wait": wait}
    assert_agreement(with_truth(simulated, exact), {"refused": 0.1, "mean wait": 0.06})


@pytest.mark.slow
@pytest.mark.parametrize(
    "time", [EXPONENTIAL, MEAN_S, {"kind": "lognormal", "mean_s": MEAN_S, "cv": 2.0}], ids=["M", "D", "G"]
)
def test_erlang_b(time):
    """Nobody waits at four servers: the loss is that of Erlang, whatever the distribution of the times."""
    scenario = queue(0.75, "server.queue_limit=0", "horizon_s=400", servers=4, time=time)
    simulated = replicate(scenario, range(4000, 4020), share("refused"))
    assert_agreement(with_truth(simulated, {"refused": erlang_b(4, 3.0)}), {"refused": 0.06})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("load", "finds"),
    [
        (0.5, {"mean wait": 0.06, "P(wait)": 0.03, "P(wait > 1)": 0.06, "P(wait > 2.5)": 0.25}),
        (0.8, {"mean wait": 0.1, "P(wait)": 0.01, "P(wait > 1)": 0.03, "P(wait > 2.5)": 0.1}),
    ],
)
def test_md1(load, finds):
    """Erlang's formula for the whole distribution of the wait."""

    def statistics(run: Run) -> dict[str, float]:
        return {**waiting(1.0, 2.5)(run), "rate": run.chance()["rate"]}

    simulated = replicate(queue(load, "horizon_s=1500", time=MEAN_S), range(5000, 5020), statistics)
    exact = {
        "mean wait": pollaczek_khinchine(load, 0.0),
        "P(wait)": load,
        "P(wait > 1)": md1_wait_beyond(load, 1.0),
        "P(wait > 2.5)": md1_wait_beyond(load, 2.5),
    }
    assert_agreement(with_truth(simulated, exact, {"rate": load}), finds)


GENERAL = {
    "gamma 0.5": ({"kind": "gamma", "mean_s": MEAN_S, "cv": 0.5}, 0.5, 0.04),
    "gamma 2": ({"kind": "gamma", "mean_s": MEAN_S, "cv": 2.0}, 2.0, 0.1),
    "lognormal 1.5": ({"kind": "lognormal", "mean_s": MEAN_S, "cv": 1.5}, 1.5, 0.12),
    "lognormal 2": ({"kind": "lognormal", "mean_s": MEAN_S, "cv": 2.0}, 2.0, 0.2),
    "weibull 0.6": (
        {"kind": "weibull", "mean_s": MEAN_S, "shape": 0.6},
        sqrt(gamma(1 + 2 / 0.6) / gamma(1 + 1 / 0.6) ** 2 - 1),
        0.1,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("time", "cv", "finds"), GENERAL.values(), ids=GENERAL)
def test_mg1(time, cv, finds):
    """Pollaczek and Khinchine."""
    scenario = queue(0.6, "horizon_s=1500", time=time)
    simulated = replicate(scenario, range(6000, 6024), controlled(waiting()))
    exact = {"mean wait": pollaczek_khinchine(0.6, cv), "P(wait)": 0.6}
    assert_agreement(with_truth(simulated, exact, expected(0.6, cv)), {"mean wait": finds, "P(wait)": 0.02})


@pytest.mark.slow
def test_a_noisy_affine_service_is_a_gamma_one():
    """`affine` with a cv is its base times a Gamma factor: Pollaczek and Khinchine hold for it as well."""
    affine = f"server.service={{kind: affine, base_s: {0.8 * MEAN_S}, per_item_s: {0.2 * MEAN_S}, cv: 1.2}}"
    scenario = queue(0.6, affine, "horizon_s=1000")
    simulated = replicate(scenario, range(6100, 6120), controlled(waiting()))
    exact = {"mean wait": pollaczek_khinchine(0.6, 1.2), "P(wait)": 0.6}
    assert_agreement(with_truth(simulated, exact, expected(0.6, 1.2)), {"mean wait": 0.08, "P(wait)": 0.02})


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "largest", "horizon_s"), [(2.4, 4, 600), (0.6, 2, 1500)])
def test_a_server_of_batches(rate, largest, horizon_s):
    """M/M(1,B)/1: an idle replica takes who comes, else all who wait, up to B, for one exponential time."""
    scenario = queue(rate, f"server.max_batch={largest}", f"horizon_s={horizon_s}")
    simulated = replicate(scenario, range(6200, 6220), mean_wait)
    exact = {"mean wait": mean_wait_in_batches(rate, largest)}
    assert_agreement(with_truth(simulated, exact), {"mean wait": 0.06})


@pytest.mark.slow
def test_clients_that_give_up_leave_their_work_behind():
    """The server is not told of a timeout: sojourns in M/M/1 stay exponential, and their tail gives up.

    Both ways of the link take a tenth of the patience each.
    """
    patience, latency = 5 * MEAN_S, 0.5 * MEAN_S
    changes = (f"fleet.devices.timeout_s={patience}", f"fleet.devices.link.latency={latency}")
    simulated = replicate(queue(0.6, *changes, "horizon_s=1500"), range(6300, 6320), share("timed_out"))
    exact = {"timed_out": exp(-(1 - 0.6) * (patience - 2 * latency) / MEAN_S)}
    assert_agreement(with_truth(simulated, exact), {"timed_out": 0.08})


@pytest.mark.slow
def test_a_coin_thins_the_arrivals():
    """A policy that sends a random 60% of what would be a load of 1.2 leaves M/M/1 at 0.72."""
    policy = "fleet.devices.policy={score: random, price: {kind: threshold, at: 0.4}}"

    def statistics(run: Run) -> dict[str, float]:
        deferred = run.settled["deferred"]
        sent = run.settled[deferred]
        wait = (sent["started_at_s"] - sent["reached_at_s"]).mean() / MEAN_S
        return {"sent": float(deferred.mean()), "mean wait": float(wait)}

    simulated = replicate(queue(1.2, policy, "horizon_s=1500"), range(6400, 6420), statistics)
    exact = {"sent": 0.6, "mean wait": 0.72 / 0.28}
    assert_agreement(with_truth(simulated, exact), {"sent": 0.01, "mean wait": 0.15})


def test_a_device_is_a_queue_of_its_own():
    """M/D/1 on every device: ten clients, each at a load of 0.6 of what its device can do."""
    price = "fleet.devices.policy.price={kind: always_local}"

    def statistics(run: Run) -> dict[str, float]:
        waits = run.settled["decided_at_s"] - run.settled["arrived_at_s"] - MEAN_S
        return {"mean wait": float(waits.mean()) / MEAN_S, "P(wait)": float((waits > 1e-9).mean())}

    scenario = queue(0.6, f"fleet.devices.device.inference_s={MEAN_S}", price, "horizon_s=250", servers=10)
    simulated = replicate(scenario, range(6500, 6520), statistics)
    exact = {"mean wait": pollaczek_khinchine(0.6, 0.0), "P(wait)": 0.6}
    assert_agreement(with_truth(simulated, exact), {"mean wait": 0.05, "P(wait)": 0.02})


FAILS, REPAIRS = 0.02, 0.1  # per service time: up for 50, down for 10, five sixths of the time available


def with_breakdowns(seed: int) -> Scenario:
    """M/M/1 whose outages alternate with exponential up and down times, drawn here and written down."""
    draw, horizon_s = np.random.default_rng(seed), 2000.0
    lasts = draw.exponential(np.array([MEAN_S / FAILS, MEAN_S / REPAIRS]), (1000, 2))
    edges = np.cumsum(lasts.ravel()).reshape(-1, 2)
    assert edges[-1, 1] > horizon_s
    at = [[down, min(up, horizon_s)] for down, up in edges.tolist() if down < horizon_s]
    outages = f"server.outages=[{{when: {{kind: intervals, at: {at}}}, target: {{kind: server}}}}]"
    give_up = "fleet.devices.timeout_s=1000"  # what is swallowed needs an end
    answers = ("server.when_down=queue", "server.in_flight=lose")
    return queue(0.6, outages, give_up, *answers, f"horizon_s={horizon_s}")


@pytest.mark.slow
def test_mm1_with_breakdowns():
    """Who waits at a failure goes on waiting, who is served is lost: a Markov chain knows the wait."""

    def statistics(run: Run) -> dict[str, float]:
        settled = run.settled
        assert settled["started_at_s"].notna().all()
        waits = (settled["started_at_s"] - settled["reached_at_s"]) / MEAN_S
        lost = (settled["server_cause"] == "lost").mean()
        up = run.settled_seconds["usable_replicas_mean"].mean()
        return {"mean wait": float(waits.mean()), "lost": float(lost), "available": float(up)}

    simulated = replicate(with_breakdowns, range(6600, 6620), statistics)
    exact = {
        "mean wait": mean_wait_with_breakdowns(0.6, FAILS, REPAIRS),
        "lost": FAILS / (1 + FAILS),  # a service ends by itself at rate 1, or in a failure
        "available": REPAIRS / (FAILS + REPAIRS),
    }
    assert_agreement(with_truth(simulated, exact), {"mean wait": 0.18, "lost": 0.1, "available": 0.02})


@pytest.mark.slow
@pytest.mark.parametrize("servers", [1, 3])
def test_priorities_that_stop_nobody(servers):
    """Three classes of a load of 0.3, 0.2 and 0.3 a server: each waits as Cobham says."""
    loads = [0.3, 0.2, 0.3]
    group = {"clients": 10, "policy": {"score": "l2h", "price": {"kind": "always_remote"}}}
    fleet = [
        {"group": f"g{n}", "priority": n, "arrivals": {"process": {"kind": "poisson", "rate_hz": rate}}}
        | group
        for n, rate in enumerate(load * servers / MEAN_S / 10 for load in loads)
    ]
    scenario = queue(0.8, f"fleet={json.dumps(fleet)}", "server.discipline=priority", servers=servers)

    def waits(run: Run) -> dict[str, float]:
        settled = run.settled
        waited = (settled["started_at_s"] - settled["reached_at_s"]) / MEAN_S
        return waited.groupby(settled["group"].astype(str)).mean().to_dict()

    exact = dict(zip(("g0", "g1", "g2"), cobham(servers, loads), strict=True))
    simulated = replicate(scenario, range(8000, 8012), waits)
    assert_agreement(with_truth(simulated, exact), {"g0": 0.12, "g1": 0.2, "g2": 0.35})
