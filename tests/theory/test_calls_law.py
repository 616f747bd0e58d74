"""The law of cold calls against runs of its own server, steady and in a surge; and what calls cost."""

from __future__ import annotations

from math import exp
from pathlib import Path
from typing import Any

import pytest
from predicted_runs import Laws
from worlds import group_of, made_up, scenario_of

import analysis
from analysis.metrics.summary import summarise
from analysis.run_folder.traffic import traffic_of
from analysis.theory import predicted
from analysis.theory.calls import cold_share
from analysis.theory.queues import erlang_b
from sim.results.learned_files import write_learned
from sim.scenario import Scenario, write
from sim.simulation import simulate
from sim.world.world import World


def test_the_formulas():
    terms = {"keep_alive_s": 30.0, "cold_start_s": 0.5, "provisioned": 0}
    light = cold_share(0.05, 0.1, terms, 50)
    assert light == (pytest.approx(exp(-1.5)), pytest.approx(0.03))
    assert cold_share(5.0, 0.1, terms, 50) is None, "several are warm at a time"
    assert cold_share(0.05, 0.1, terms, 1) is None, "calls may find no instance"
    n = terms | {"keep_alive_s": 0.0, "provisioned": 2}
    assert cold_share(4.0, 0.5, n, 50) == (pytest.approx(0.4), 0.0), "B(2, 2) = 2/5"


def fleet(rate_hz: float, **parts: Any) -> tuple[dict[str, Any], ...]:
    each = {"kind": "poisson", "rate_hz": rate_hz / 20}
    return (group_of(clients=20, arrivals={"process": each}, **parts),)


def station(mean_s: float = 0.2, **parts: Any) -> dict[str, Any]:
    service = {"kind": "per_batch", "time": {"kind": "exponential", "mean_s": mean_s}}
    return {"service": service, "replicas": 60} | parts


def run(folder: Path, **parts: Any) -> Laws:
    """The laws of a run, and what its summary says of calls and money as `numbers`."""
    scenario: Scenario = scenario_of(horizon_s=6_000.0, warm_up_s=100.0, **parts)
    learned = made_up(scenario)
    simulate(World(scenario), learned, folder)
    write_learned(World(scenario), learned, learned.client_hashes, folder)
    (folder / "scenario.yaml").write_text(write(scenario))
    found = Laws(predicted(traffic_of(analysis.load_run(folder))))
    found.numbers = summarise(analysis.load_run(folder))  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("keep_alive_s", [1.0, 10.0, 40.0])
def test_gaps_longer_than_the_keep_alive_are_cold(keep_alive_s, tmp_path):
    calls = {"keep_alive_s": keep_alive_s, "cold_start_s": 0.5}
    laws = run(tmp_path, fleet=fleet(0.1), server=station(serverless=calls))
    assert laws.one("calls", "cold calls").predicted == pytest.approx(exp(-0.1 * keep_alive_s))
    laws.assert_agree("calls")
    assert laws.by_law.keys() == {"calls"}, "no other law knows of cold starts"


@pytest.mark.slow
@pytest.mark.parametrize("provisioned", [1, 3, 6])
def test_who_finds_no_provisioned_instance_is_lost_to_them_as_erlang_has_it(provisioned, tmp_path):
    """Whatever the law of the cold start: calls that overflow come back to none of these."""
    calls = {"keep_alive_s": 0.0, "cold_start_s": 1.5, "provisioned": provisioned}
    laws = run(tmp_path, fleet=fleet(8.0), server=station(0.4, serverless=calls))
    assert laws.one("calls", "cold calls").predicted == pytest.approx(erlang_b(provisioned, 3.2))
    laws.assert_agree("calls")


def behind(instances: int, cold_start_s: float, keep_alive_s: float = 500.0, **parts: Any) -> dict[str, Any]:
    """A server that refuses from 2,000 s to 2,300 s, and a burst behind it."""
    down = {"when": {"kind": "intervals", "at": ((2_000.0, 2_300.0),)}}
    calls = {"keep_alive_s": keep_alive_s, "cold_start_s": cold_start_s}
    main = {"server": "main", "when_down": "refuse", "outages": (down,)} | station()
    burst = {"server": "burst", "queue_limit": 0, "serverless": calls} | station(replicas=instances)
    burst["replicas"] = instances
    options = ({"option": "main", "server": "main"}, {"option": "burst", "server": "burst"})
    retry = {"attempts": 2, "backoff_s": 0.0, "next": "other", "allowance": None}
    group = {"options": options, "choose": "order", "retry": retry, "policy": EVERYTHING} | parts
    return {"server": None, "servers": (main, burst), "fleet": fleet(20.0, **group)}


EVERYTHING = {"score": "random", "price": {"kind": "always_remote"}}


@pytest.mark.parametrize("cold_start_s", [0.5, 2.0])
def test_a_surge_starts_what_comes_until_the_first_is_free_again(cold_start_s, tmp_path):
    laws = run(tmp_path, **behind(400, cold_start_s))
    found = laws.one("calls", "instances started")
    assert found.predicted == pytest.approx(20.0 * (0.2 + cold_start_s))
    laws.assert_agree("calls")
    assert laws.numbers["calls"]["cold"] < 0.05 * laws.numbers["calls"]["made"]


def test_a_surge_starts_no_more_than_there_are(tmp_path):
    laws = run(tmp_path, **behind(8, 2.0))
    found = laws.one("calls", "instances started")
    assert found.predicted == 8
    assert found.simulated.value == 8


def test_nothing_is_said_where_cold_calls_are_given_up(tmp_path):
    assert run(tmp_path, **behind(400, 2.0, timeout_s=1.0)).by_law == {}


@pytest.mark.parametrize(("rate_hz", "is_cheaper"), [(0.5, True), (2.0, False)])
def test_calls_are_cheaper_below_the_ratio_of_the_prices(rate_hz, is_cheaper, tmp_path):
    """A second of a call costs four times as much as one of a replica: cheaper iff that were busy for less
    than a quarter of its time, λ·E[S] = 0.1 against 0.4."""
    calls = {"keep_alive_s": 500.0, "cold_start_s": 0.0, "usd_per_s": 4e-4}
    paid = {
        name: run(tmp_path / name, fleet=fleet(rate_hz), server=server).numbers["money"]
        for name, server in {
            "calls": station(serverless=calls),
            "replica": station(replicas=1, usd_per_replica_s=1e-4),
        }.items()
    }
    assert (paid["calls"]["calls_usd"] < paid["replica"]["replicas_usd"]) is is_cheaper
    assert paid["calls"]["calls_usd"] == pytest.approx(4e-4 * rate_hz * 0.2 * 5_900, rel=0.1)
    assert paid["replica"]["replicas_usd"] == pytest.approx(1e-4 * 5_900)
    assert paid["calls"]["replicas_usd"] == paid["replica"]["calls_usd"] == 0.0
