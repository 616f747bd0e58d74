"""Clients who think before they ask again: the machine repairman's formula M/M/c//N, and Ciw.

The stay at the server depends on the thinking time through its mean alone (Baskett, Chandy, Muntz and
Palacios 1975), so the formula holds for constant and lognormal thoughts as well. Waits are in units of the
mean service time.
"""

from __future__ import annotations

import json
import random

import ciw
import numpy as np
import pandas as pd
import pytest
from agreement import assert_agreement, replicate, with_other, with_truth
from formulas import machine_repair
from queues import CLIENTS, COOL_DOWN_S, MEAN_S, WARM_UP_S, Run, queue

from sim.scenario import Scenario


def thinking(think: object, servers: int, horizon_s: float) -> Scenario:
    """Ten clients of `queue.yaml` in a closed loop."""
    process = json.dumps({"kind": "closed_loop", "think": think})
    changes = (f"fleet.devices.arrivals.process={process}", f"horizon_s={horizon_s}")
    return queue(0.5, *changes, servers=servers)


def circulation(run: Run) -> dict[str, float]:
    """Requests per service time, their mean wait, and how many of them wait."""
    waits, settled_s = run.waits(), run.scenario.horizon_s - WARM_UP_S - COOL_DOWN_S
    return {
        "throughput": len(waits) / settled_s * MEAN_S,
        "mean wait": float(waits.mean()),
        "P(wait)": float((waits > 0).mean()),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("think", "servers"),
    [
        ({"kind": "exponential", "mean_s": 1.0}, 1),
        ({"kind": "exponential", "mean_s": 0.3}, 3),
        ({"kind": "lognormal", "mean_s": 1.0, "cv": 2.0}, 1),
        (0.3, 3),
    ],
    ids=str,
)
def test_machine_repair(think, servers):
    """The stationary law of how many are at the server; who arrives finds the others as if alone."""
    mean_s = think if isinstance(think, float) else think["mean_s"]
    simulated = replicate(thinking(think, servers, 500.0), range(9000, 9016), circulation)
    exact = machine_repair(CLIENTS, servers, mean_s / MEAN_S)
    assert_agreement(with_truth(simulated, exact), {"throughput": 0.03, "mean wait": 0.12, "P(wait)": 0.045})


def of_ciw(think_s: float, servers: int, horizon_s: float, seed: int) -> dict[str, float]:
    """The same from Ciw: all think at first; two nodes, those who think and the server, and round again."""
    random.seed(seed)
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Sequential([0.0] * CLIENTS + [np.inf]), None],
        service_distributions=[ciw.dists.Exponential(1 / think_s), ciw.dists.Exponential(1 / MEAN_S)],
        routing=[[0.0, 1.0], [1.0, 0.0]],
        number_of_servers=[np.inf, servers],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_time(horizon_s)
    reported = pd.DataFrame(simulation.get_all_records())
    until = horizon_s - COOL_DOWN_S
    asked = reported[
        (reported["node"] == 2) & reported["arrival_date"].between(WARM_UP_S, until, inclusive="left")
    ]
    waits = (asked["service_start_date"] - asked["arrival_date"]).to_numpy() / MEAN_S
    return {
        "throughput": len(waits) / (until - WARM_UP_S) * MEAN_S,
        "mean wait": float(waits.mean()),
        "P(wait)": float((waits > 1e-9).mean()),
    }


@pytest.mark.slow
def test_ciw_finds_the_same_circulation():
    scenario = thinking({"kind": "exponential", "mean_s": 0.3}, 3, 250.0)
    ours = replicate(scenario, range(9100, 9112), circulation)
    theirs = pd.DataFrame([of_ciw(0.3, 3, 250.0, seed) for seed in range(12)])
    assert_agreement(with_other(ours, theirs), {"throughput": 0.03, "mean wait": 0.17, "P(wait)": 0.1})
