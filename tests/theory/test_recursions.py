"""Queueing theory without chance: on the draws that a run used, the recursions of Lindley and of Kiefer and
Wolfowitz must give its instants, every one and to the last bit.

The recursions know nothing of events, ties, chunks or heaps. They hold at any load, above 1 as well.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from formulas import kiefer_wolfowitz, waits_of_kiefer_wolfowitz
from queues import MEAN_S, queue
from reference_server import service_s
from worlds import made_up

from sim.scenario import Scenario
from sim.simulation import simulate
from sim.world.delays import ServiceTimes
from sim.world.world import World

LOADS = [0.5, 0.8, 0.95, 1.2]
TIMES = {
    "M": {"kind": "exponential", "mean_s": MEAN_S},
    "D": MEAN_S,
    "G": {"kind": "lognormal", "mean_s": MEAN_S, "cv": 2.0},
}


def written_by(scenario: Scenario, folder) -> tuple[pd.DataFrame, np.ndarray]:
    """The requests of a run folder that reached the server, in that order, and their service times."""
    simulate(World(scenario), made_up(scenario), folder)
    requests = pq.read_table(folder / "requests").to_pandas().dropna(subset="reached_at_s")
    requests = requests.sort_values(["reached_at_s", "request_id"])
    drawn = ServiceTimes(scenario.seed, scenario.server.service, scenario.server.max_batch)
    factors = drawn.factor_many(requests["request_id"].to_numpy()).tolist()
    return requests, np.array([service_s(drawn, 1, factor) for factor in factors])


def assert_follows_the_recursion(scenario: Scenario, folder) -> pd.DataFrame:
    requests, services = written_by(scenario, folder)
    starts, ends = kiefer_wolfowitz(requests["reached_at_s"].to_numpy(), services, scenario.server.replicas)
    begun, done = starts < scenario.horizon_s, ends < scenario.horizon_s
    np.testing.assert_array_equal(requests["started_at_s"], np.where(begun, starts, np.nan))
    np.testing.assert_array_equal(requests["finished_at_s"], np.where(done, ends, np.nan))
    assert begun.sum() > 4000, "too few to say something"
    return requests


@pytest.mark.parametrize("servers", [1, 4], ids=["lindley", "kiefer-wolfowitz"])
@pytest.mark.parametrize("time", TIMES.values(), ids=TIMES)
@pytest.mark.parametrize("load", LOADS)
def test_starts_and_ends_are_those_of_the_recursion_to_the_last_bit(load, time, servers, tmp_path):
    scenario = queue(load, f"horizon_s={600 / servers}", "seed=3", servers=servers, time=time)
    if load == 0.5:
        scenario = scenario.model_copy(update={"horizon_s": 900 / servers})
    requests = assert_follows_the_recursion(scenario, tmp_path)
    waited = requests["started_at_s"] > requests["reached_at_s"]
    assert waited.mean() > (0.4 if servers == 1 else 0.1)
    assert (requests["started_at_s"].isna().any()) or load < 1  # who came last still waits at the horizon


@pytest.mark.parametrize("load", LOADS)
def test_links_that_let_requests_overtake_change_the_order_and_nothing_else(load, tmp_path):
    latency = "fleet.devices.link.latency={kind: lognormal, mean_s: 0.3, cv: 1.0}"
    scenario = queue(load, latency, f"horizon_s={300 if load == 0.5 else 200}", servers=4)
    requests = assert_follows_the_recursion(scenario, tmp_path)
    assert (np.diff(requests["sent_at_s"]) < 0).mean() > 0.1


@pytest.mark.parametrize("servers", [1, 4])
def test_waits_are_those_of_the_printed_recursion_within_a_nanosecond(servers, tmp_path):
    """Printed as w + service - gap it rounds otherwise than a clock does: once a step, by half a unit in the
    last place of an arrival, 6e-14 s here at most. Over a busy period that adds up to less than
    6,000 · 6e-14 s: a nanosecond is above that, and far below what a wrong order would make of a wait."""
    scenario = queue(0.95, f"horizon_s={600 / servers}", "seed=4", servers=servers)
    requests, services = written_by(scenario, tmp_path)
    waits = waits_of_kiefer_wolfowitz(requests["reached_at_s"].to_numpy(), services, servers)
    begun = requests["started_at_s"].notna().to_numpy()
    ours = (requests["started_at_s"] - requests["reached_at_s"]).to_numpy()
    np.testing.assert_allclose(ours[begun], waits[begun], rtol=0, atol=1e-9)
