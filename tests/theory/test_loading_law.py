"""The law of models that take turns in memory: its formulas, runs that agree, and where it is silent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from predicted_runs import laws_of
from worlds import group_of, scenario_of

import analysis
from analysis.reports.tables import facts
from analysis.theory.loading import service_with_loads, share_of_loads
from sim.scenario import Scenario


@pytest.mark.parametrize(("models", "room"), [(2, 1), (3, 1), (3, 2), (5, 3)])
def test_of_models_asked_alike_those_load_that_do_not_fit(models, room):
    assert share_of_loads([1 / models] * models, room) == pytest.approx(1 - room / models)


def test_with_room_for_one_every_change_loads():
    shares = [0.5, 0.3, 0.2]
    assert share_of_loads(shares, 1) == pytest.approx(1 - sum(share**2 for share in shares))
    assert share_of_loads(shares, 2) < share_of_loads(shares, 1)
    assert share_of_loads(shares, 3) == pytest.approx(0.0)


def test_the_second_moment_is_that_of_a_load_now_and_then():
    mean_s, cv = service_with_loads(0.2, 0.3, 0.5)
    assert mean_s == pytest.approx(0.35)
    assert (1 + cv**2) * mean_s**2 == pytest.approx(0.2**2 + 0.5 * (2 * 0.2 * 0.3 + 0.3**2))


def world(rates_hz: tuple[float, ...], room: float, horizon_s: float = 6_000.0, **parts: Any) -> Scenario:
    """Models of .1 s that take .2 s to bring in, at one server with room for so many."""
    names = [f"m{place}" for place in range(len(rates_hz))]
    rules = {"server": "all", "service": {"kind": "affine", "base_s": 0.1}} | {"memory_bytes": room}
    fleet = tuple(
        group_of(
            f"of_{name}",
            clients=10,
            arrivals={"process": {"kind": "poisson", "rate_hz": rate_hz / 10}},
            options=({"option": "it", "server": "all", "model": name},),
        )
        for name, rate_hz in zip(names, rates_hz, strict=True)
    )
    return scenario_of(
        horizon_s=horizon_s,
        warm_up_s=20.0,
        fleet=fleet,
        server=None,
        servers=(rules | {"load_s": 0.2} | parts,),
        models={name: {"family": "linear", "memory_bytes": 1.0} for name in names},
    )


@pytest.mark.parametrize(
    ("rates_hz", "room", "share", "wait_s"),
    [
        ((1.5, 1.5), 1.0, 0.5, 3 * (0.01 + 0.5 * 0.08) / (2 * (1 - 3 * 0.2))),
        ((1.0, 1.0, 1.0), 2.5, 1 / 3, 3 * (0.01 + 0.08 / 3) / (2 * (1 - 3 * (0.1 + 0.2 / 3)))),
        ((2.0, 0.5, 0.5), 1.0, 1 - (4 + 0.25 + 0.25) / 9, None),
    ],
)
def test_a_run_agrees(rates_hz, room, share, wait_s, tmp_path):
    found = laws_of(tmp_path, world(rates_hz, room))
    found.assert_agree("loading")
    assert "waiting" not in found.by_law, "which knows nothing of loads"
    assert found.of("loading", "loads")[0].predicted == pytest.approx(share)
    assert found.of("loading", "mean service")[0].predicted == pytest.approx(0.1 + 0.2 * share)
    waits = [one.predicted for one in found.by_law["loading"] if one.quantity == "mean wait"]
    assert waits == ([pytest.approx(wait_s)] if wait_s else [])


def test_loads_are_counted_and_told(tmp_path):
    scenario = world((1.5, 1.5), 1.0, 300.0)
    laws_of(tmp_path, scenario)
    run = analysis.load_run(tmp_path)
    summary = analysis.summarise(run)
    told = summary["loads"]["all"]
    late = run.requests[run.requests["reached_at_s"] >= 20.0]
    assert told["made"] == late["loads"].sum()
    assert told["batches"] == late["started_at_s"].count()
    assert told["share"] == pytest.approx(np.mean(late["loads"]), abs=0.01)
    assert summary["load"]["offered"] == pytest.approx(3.0 * 0.2, rel=0.15), "by what a batch took"
    assert any(name == "batches that load a model" for name, _ in facts(summary)["service"])


def test_a_server_that_loads_more_than_it_can_serve_is_no_valid_run(tmp_path):
    """A bound on its queue hides that it would grow."""
    laws_of(tmp_path, world((3.0, 3.0), 1.0, 300.0, queue_limit=5))
    summary = analysis.summarise(analysis.load_run(tmp_path))
    assert summary["load"]["offered"] == pytest.approx(6.0 * 0.2, rel=0.15)
    assert any("more is sent than full batches can serve" in why for why in summary["invalid_because"])


@pytest.mark.parametrize(
    "changes",
    [
        {"service": {"kind": "affine", "base_s": 0.1, "cv": 0.5}},
        {"replicas": 2},
        {"discipline": "lifo"},
        {"memory_bytes": 2.0},
        {"outages": ({"when": {"kind": "intervals", "at": ((9.0, 10.0),)}},)},
    ],
)
def test_it_says_nothing_of_other_servers(changes, tmp_path):
    found = laws_of(tmp_path, world((1.5, 1.5), 1.0, 300.0, **changes))
    assert not {"loading", "pipelines", "waiting"} & found.by_law.keys()
