"""The law of pipelines: its formulas, runs of models that share one, and what it says nothing about."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import pytest
from predicted_runs import laws_of
from worlds import group_of, made_up, poisson, product, scenario_of

import analysis
from analysis.reports.tables import facts
from analysis.theory.pipelines import wait_s
from sim.scenario import Scenario

MODELS = {name: {"family": "linear"} for name in ("a", "b")}


def test_the_formulas():
    """A shared pipeline of two stages makes half of the wait of two devices; an overhead is paid twice."""
    rate_hz, takes_s = 3.0, 0.2
    apart = wait_s(rate_hz, takes_s)
    assert apart == pytest.approx(rate_hz * takes_s**2 / (2 * (1 - rate_hz * takes_s)))
    assert wait_s(2 * rate_hz, takes_s, stages=2) == pytest.approx(apart / 2)
    cut = rate_hz * 1.1**2 * takes_s**2 / (4 * (1 - rate_hz * 1.1 * takes_s))
    assert wait_s(2 * rate_hz, takes_s, stages=2, overhead=1.1) == pytest.approx(cut)
    assert wait_s(2 * rate_hz, takes_s, stages=2, overhead=1.7) == inf
    stays = [1.12 * takes_s + wait_s(6.0, takes_s, 2, 1.12), 1.14 * takes_s + wait_s(6.0, takes_s, 2, 1.14)]
    assert stays[0] < takes_s + apart < stays[1]  # so they break even between 12 and 14%


def world(shared: bool, overhead: float = 1.0, process: Any = None, horizon_s: float = 6_000.0) -> Scenario:
    """Two models of .6 of a device each, on two devices."""
    one = {"server": "both", "stages": 2, "stage_overhead": overhead, "models": ("a", "b")}
    alone = [{"server": name, "models": (name,)} for name in MODELS]
    service = {"kind": "affine", "base_s": 0.2}
    fleet = tuple(
        group_of(
            f"of_{name}",
            clients=10,
            arrivals={"process": process or {"kind": "poisson", "rate_hz": 0.3}},
            options=({"option": "it", "server": "both" if shared else name, "model": name},),
        )
        for name in MODELS
    )
    servers = tuple(each | {"service": service} for each in ([one] if shared else alone))
    return scenario_of(
        horizon_s=horizon_s, warm_up_s=50.0, fleet=fleet, server=None, servers=servers, models=MODELS
    )


@pytest.mark.parametrize(
    ("shared", "overhead", "wait"), [(True, 1.0, 0.075), (True, 1.1, 0.10676), (False, 1.0, 0.15)]
)
def test_a_run_agrees(shared, overhead, wait, tmp_path):
    found = laws_of(tmp_path, world(shared, overhead))
    found.assert_agree("pipelines")
    assert found.by_law.keys() == {"pipelines"} if not shared else "waiting" not in found.by_law
    assert [one.predicted for one in found.of("pipelines", "mean wait")] == pytest.approx(
        [wait] * (1 if shared else 2), rel=1e-4
    )
    others = [one for one in found.by_law["pipelines"] if one.simulated is None]
    assert [one.predicted for one in others] == (pytest.approx([0.15, 0.35]) if shared else [])


def test_goodput_at_the_client_is_told_of_each_model(tmp_path):
    laws_of(tmp_path, world(True, horizon_s=200.0))
    summary = analysis.summarise(analysis.load_run(tmp_path))
    models = summary["models"]
    assert ("served in time", "a 100.0%, b 100.0%") in facts(summary)["service"]
    assert {name: one["whole_run"]["served_in_time_share"] for name, one in models.items()} == {
        "a": 1.0,
        "b": 1.0,
    }
    assert sum(one["whole_run"]["requests"] for one in models.values()) > 500


@pytest.mark.parametrize(
    "changes",
    [
        {"service": {"kind": "affine", "base_s": 0.2, "cv": 0.5}},
        {"drop_expired": True},
        {"queue_limit": 5},
        {"replicas": 2},
        {"admission": {"kind": "token_bucket", "rate_hz": 9.0, "burst": 9.0}},
    ],
)
def test_it_says_nothing_of_other_servers(changes, tmp_path):
    scenario = world(True, horizon_s=200.0)
    (one,) = scenario.servers
    other = Scenario.model_validate(scenario.model_dump() | {"servers": (one.model_dump() | changes,)})
    assert "pipelines" not in laws_of(tmp_path, other).by_law


def mean_stay(shared: bool, cv: float) -> float:
    scenario = world(shared, process={"kind": "gamma", "rate_hz": 0.3, "cv": cv}, horizon_s=3_000.0)
    requests, _ = product(scenario, made_up(scenario), poisson(scenario, 60.0), 1_000.0)
    return float(np.mean(requests["finished_at_s"] - requests["arrived_at_s"]))


def test_the_gain_grows_with_bursts():
    """Seconds saved by sharing, at variations of the gaps between a client's requests of 1, 3 and 6."""
    gains = [mean_stay(False, cv) - mean_stay(True, cv) for cv in (1.0, 3.0, 6.0)]
    assert 0 < gains[0] < gains[1] < gains[2]
