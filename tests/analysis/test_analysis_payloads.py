"""Bytes and wasted work of each attempt to one of several options, counted anew from the tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds import made_up

from analysis import load_run, summarise
from analysis.run_folder.run import Run
from sim.results.learned_files import write_learned
from sim.scenario import read, write
from sim.simulation import simulate
from sim.world.world import World

HEDGED = """
name: hedged
horizon_s: 60
models: {large: {family: linear}}
servers:
  - {server: one, models: [large], service: {kind: affine, base_s: 0.05}}
  - {server: two, models: [large], service: {kind: affine, base_s: 0.05}}
fleet:
  - group: phones
    clients: 12
    arrivals: {process: {kind: poisson, rate_hz: 0.75}}
    policy: {score: random, price: {kind: always_remote}}
    options:
      - {option: a, server: one, payload_bytes: 2000}
      - {option: b, server: two, payload_bytes: 100, device_s: 0.3}
    timeout_s: 3.0
    choose: order
    hedge: {after_s: 0.0}
    presence: {join_hz: 0.3, stay: 20}
"""
PAYLOADS = (2000, 100)


@pytest.fixture(params=[True, False])
def run(request, tmp_path: Path) -> Run:
    """Of each request two attempts are sent at one instant, to different options."""
    (tmp_path / "asked.yaml").write_text(
        HEDGED.replace("after_s: 0.0", f"after_s: 0.0, cancel: {request.param}")
    )
    scenario = read(tmp_path / "asked.yaml")
    learned, path = made_up(scenario, samples=120), tmp_path / "run"
    path.mkdir()
    simulate(World(scenario), learned, path)
    write_learned(World(scenario), learned, learned.client_hashes, path)
    (path / "scenario.yaml").write_text(write(scenario))
    return load_run(path)


def test_each_attempt_that_left_sends_the_payload_of_its_option(run: Run) -> None:
    requests, attempts = run.requests, run.attempts
    once = requests[requests["attempts"] == 1]
    sent = sum(PAYLOADS[option] for option in once["option"])
    has_left = (attempts["server_cause"] != "cancelled") | attempts["reached_at_s"].notna()
    assert not has_left.all()
    sent += sum(PAYLOADS[option] for option in attempts["option"][has_left])
    assert summarise(run)["wire"]["bytes_up"] == sent


def test_the_other_of_two_attempts_at_one_instant_is_wasted(run: Run) -> None:
    """Each batch is of one and takes 0.05 s; what is served beside the answer that was given is wasted."""
    ended = run.attempts.merge(run.requests[["request_id", "option", "outcome"]], on="request_id")
    used = (ended["outcome"] == "remote") & (ended["option_x"] == ended["option_y"])
    is_open = ended["outcome"] == "in_flight"
    served_s = ended["finished_at_s"] - ended["started_at_s"]
    assert summarise(run)["work"]["wasted_s"] == pytest.approx(served_s[~used & ~is_open].sum(), abs=1e-4)


def test_a_stay_is_of_visits_that_began_in_the_run(run: Run) -> None:
    assert (run.visits["from_s"] == 0).any()
    assert summarise(run)["presence"]["stay_mean_s"] == pytest.approx(20.0)
