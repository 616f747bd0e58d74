"""Queueing theory and Ciw for what a server does when it fails, and for queues that drop what came too late.

As in `test_closed_forms` and `test_ciw`; waits are in units of the mean service time.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from agreement import assert_agreement, replicate, with_truth
from ciw_networks import with_draws_of, with_own_draws
from formulas import mean_wait_with_breakdowns
from queues import EXPONENTIAL, MEAN_S, Run, queue, run
from scipy import stats

FAILS, REPAIRS = 0.02, 0.1  # per service time


def renewal(fails: float, repairs: float) -> str:
    when = {
        "kind": "renewal",
        "up": {"kind": "exponential", "mean_s": MEAN_S / fails},
        "down": {"kind": "exponential", "mean_s": MEAN_S / repairs},
    }
    return f"server.outages={json.dumps([{'when': when, 'target': {'kind': 'server'}}])}"


def sojourns(run: Run) -> dict[str, float]:
    settled = run.settled
    assert settled["finished_at_s"].notna().all(), "the cool-down is too short"
    spent = (settled["finished_at_s"] - settled["reached_at_s"]).mean() / MEAN_S
    up = run.settled_seconds["usable_replicas_mean"].mean()
    return {"mean sojourn": float(spent), "available": float(up)}


@pytest.mark.slow
def test_mm1_with_breakdowns_that_requeue():
    """White and Christie (1958): an interrupted exponential service begins again with a fresh draw.

    Then a failure only stops the clock. Mean number by Little's law from the Markov chain of (number in the
    system, up or down) in closed form: with availability a = repairs / (fails + repairs) and
    d = load·fails / (fails + repairs)²,  L = (load + d) / (a - load).
    """
    load = 0.6
    changes = ("server.when_down=queue", "server.in_flight=requeue", "horizon_s=2000")
    simulated = replicate(queue(load, renewal(FAILS, REPAIRS), *changes), range(7000, 7020), sojourns)
    up = REPAIRS / (FAILS + REPAIRS)
    number = (load + load * FAILS / (FAILS + REPAIRS) ** 2) / (up - load)
    exact = {"mean sojourn": number / load, "available": up}
    assert_agreement(with_truth(simulated, exact), {"mean sojourn": 0.3, "available": 0.02})


@pytest.mark.slow
def test_mm1_with_breakdowns_that_lose():
    """As with outages written down in `test_closed_forms`, here drawn by the simulator itself."""

    def statistics(run: Run) -> dict[str, float]:
        settled = run.settled
        waits = (settled["started_at_s"] - settled["reached_at_s"]) / MEAN_S
        lost = (settled["server_cause"] == "lost").mean()
        return {"mean wait": float(waits.mean()), "lost": float(lost)}

    changes = (
        "server.when_down=queue",
        "server.in_flight=lose",
        "fleet.devices.timeout_s=1000",
        "horizon_s=2000",
    )
    simulated = replicate(queue(0.6, renewal(FAILS, REPAIRS), *changes), range(7100, 7120), statistics)
    exact = {"mean wait": mean_wait_with_breakdowns(0.6, FAILS, REPAIRS), "lost": FAILS / (1 + FAILS)}
    assert_agreement(with_truth(simulated, exact), {"mean wait": 0.2, "lost": 0.15})


DOWN = [[at, at + 4.0] for at in range(10, 300, 20)]
SHIFTS = f"server.outages=[{{when: {{kind: intervals, at: {DOWN}}}, target: {{kind: server}}}}]"


def test_shifts_of_nobody_that_let_services_end():
    """Ciw's shifts without pre-emption are `finish`, request by request; services end within an outage here,
    since Ciw's new shift would work beside those who still finish."""
    time = {"kind": "gamma", "mean_s": MEAN_S, "cv": 0.5}
    changes = (SHIFTS, "server.when_down=queue", "server.in_flight=finish", "horizon_s=300", "seed=13")
    scenario = queue(0.5, *changes, servers=3, time=time)
    ours = run(scenario).requests
    theirs = with_draws_of(scenario, ours)
    for name in ("started_at_s", "finished_at_s"):
        np.testing.assert_allclose(theirs[name], ours[name], rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.slow
def test_shifts_of_nobody_that_requeue():
    """Ciw's pre-emption `resample` is `requeue`: draws after an interruption are fresh, so the sojourns are
    compared as samples are (two-sample t-test, a false alarm in a thousand)."""
    changes = (SHIFTS, "server.when_down=queue", "server.in_flight=requeue", "horizon_s=300")
    scenario = queue(0.5, *changes, servers=3, time=EXPONENTIAL)
    ours, theirs = [], []
    for seed in range(14_000, 14_020):
        seeded = scenario.model_copy(update={"seed": seed})
        for simulated, requests in ((ours, run(seeded).requests), (theirs, with_own_draws(seeded))):
            simulated.append((requests["finished_at_s"] - requests["arrived_at_s"]).mean() / MEAN_S)
    assert stats.ttest_ind(ours, theirs, equal_var=False).pvalue > 1e-3
    assert np.std(ours) / np.mean(ours) < 0.2


def test_expired_requests_are_thrown_out_as_customers_of_ciw_renege():
    """With `drop_expired` whoever is past the deadline when a batch forms is thrown out; a customer of Ciw
    leaves at the deadline itself. Who is served, and when, is the same to a nanosecond."""
    patience = 3 * MEAN_S
    changes = ("server.drop_expired=true", f"fleet.devices.deadline_s={patience}", "horizon_s=300", "seed=15")
    scenario = queue(0.9, *changes, servers=2)
    ours = run(scenario).requests
    theirs = with_draws_of(scenario, ours)
    expired = ours["server_cause"] == "expired"
    assert expired.mean() > 0.02
    known = ours["started_at_s"].notna().to_numpy() | expired.to_numpy()  # but those who wait at the horizon
    pd.testing.assert_series_equal(
        theirs["started_at_s"].notna()[known].reset_index(drop=True),
        ~expired[known].reset_index(drop=True),
        check_names=False,
    )
    np.testing.assert_allclose(theirs["started_at_s"][known], ours["started_at_s"][known], rtol=0, atol=1e-9)


def completions(run: Run) -> dict[str, float]:
    settled = run.settled
    assert settled["finished_at_s"].notna().all(), "the cool-down is too short"
    spent = settled["finished_at_s"] - settled["started_at_s"]
    return {"mean completion": float(spent.mean() / MEAN_S)}


@pytest.mark.slow
@pytest.mark.parametrize("in_flight", ["resume", "restart"])
def test_completion_times_with_breakdowns(in_flight):
    """M/D/1 with exponential failures at rate ξ and repairs of mean E[D]: from its start to its end a service
    of length s takes, where it goes on, s·(1 + ξ·E[D]) (Avi-Itzhak and Naor 1963); where it starts over,
    (e^(ξs) − 1)/ξ·(1 + ξ·E[D]) (Gaver 1962). A failure that finds the server idle delays nobody's service
    here, since a service begins on a replica that is up."""
    fails, repairs = 0.5, 1.0  # per service time
    changes = (f"server.in_flight={in_flight}", "server.when_down=queue", "horizon_s=1500")
    scenario = queue(0.2, renewal(fails, repairs), *changes, time=MEAN_S)
    simulated = replicate(scenario, range(7200, 7212), completions)
    working = 1.0 if in_flight == "resume" else (np.exp(fails) - 1) / fails
    exact = {"mean completion": working * (1 + fails / repairs)}
    assert_agreement(with_truth(simulated, exact), {"mean completion": 0.05})


@pytest.mark.slow
def test_waits_with_breakdowns_where_services_go_on():
    """A queue whose services are completion times C, with failures of an idle server on top: for M/M/1 where
    services go on it is that of White and Christie, as exponential services forget how far they were."""
    load = 0.6
    changes = ("server.when_down=queue", "server.in_flight=resume", "horizon_s=2000")
    simulated = replicate(queue(load, renewal(FAILS, REPAIRS), *changes), range(7300, 7320), sojourns)
    up = REPAIRS / (FAILS + REPAIRS)
    number = (load + load * FAILS / (FAILS + REPAIRS) ** 2) / (up - load)
    exact = {"mean sojourn": number / load, "available": up}
    assert_agreement(with_truth(simulated, exact), {"mean sojourn": 0.3, "available": 0.02})
