"""Homes for the clients of a scenario: what the command writes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import main as command_line
from commands.assigning import WAYS, Assigning
from sim.errors import BadInput
from sim.scenario import Scenario, read

TEXT = """
name: cells
horizon_s: 400
models: {one: {family: linear}}
servers:
  - {server: left, service: {kind: affine, base_s: 0.1}, replicas: 2}
  - server: right
    service: {kind: affine, base_s: 0.1}
    replicas: 2
    outages: [{when: {kind: renewal, up: 60, down: 60}}]
fleet:
  - group: here
    clients: 6
    arrivals: {process: {kind: poisson, rate_hz: 1.0}}
    policy: {score: confidence, price: {kind: always_remote}}
    options: [{option: a, server: left}, {option: b, server: right, link: {latency: 0.2}}]
    choose: order
    timeout_s: 1.0
  - group: there
    clients: 6
    arrivals: {process: {kind: poisson, rate_hz: 1.0}}
    policy: {score: confidence, price: {kind: always_remote}}
    options: [{option: b, server: right}, {option: a, server: left, link: {latency: 0.2}}]
    choose: order
    timeout_s: 1.0
"""


@pytest.fixture
def plan(tmp_path: Path) -> Scenario:
    (tmp_path / "cells.yaml").write_text(TEXT)
    return read(tmp_path / "cells.yaml")


def test_nearness_asks_who_is_near_and_the_program_who_is_there(plan, tmp_path):
    """Up half of the time, `right` costs whoever is at home there more than the way to `left`."""
    found = {way: Assigning(plan, 1.0, 6).assigned(way) for way in WAYS}
    assert found["nearest"].homes == {"here": {"a": 6, "b": 0}, "there": {"b": 6, "a": 0}}
    assert found["program"].homes["here"] == {"a": 6, "b": 0}
    assert found["program"].homes["there"]["a"] > 0
    one = found["program"]
    assert one.worth.known <= one.worth.program + 1e-4 <= one.worth.average + 2e-4
    assert one.costs["program"] == pytest.approx(one.worth.program, rel=1e-3)
    assert min(one.costs.values()) >= one.worth.program * (1 - 1e-3)
    assert one.costs["learned"] <= one.costs["nearest"] + 1e-9
    (tmp_path / "homes.yaml").write_text(one.scenario)
    for group in read(tmp_path / "homes.yaml").fleet:
        assert group.choose == "home"
        assert {name: (group.homes or ()).count(name) for name in ("a", "b")} == one.homes[group.group]


def test_no_more_have_a_home_than_a_server_can_serve(plan):
    """Each can serve 20 a second, of which a plan asks 16 at most; both groups ask for 9 each."""
    fleet = tuple(
        one.model_copy(
            update={
                "arrivals": one.arrivals.model_copy(
                    update={"process": one.arrivals.process.model_copy(update={"rate_hz": 1.5})}
                )
            }
        )
        for one in plan.fleet
    )
    found = Assigning(plan.model_copy(update={"fleet": fleet}), 1.0, 6).assigned("program")
    for option in "ab":
        assert 1.5 * sum(counted[option] for counted in found.homes.values()) <= 16


def test_the_command_writes_a_scenario(tmp_path, monkeypatch, capsys):
    (tmp_path / "cells.yaml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["run_sim.py", "homes", "cells.yaml", "--cases", "3", "--by", "learned"])
    assert command_line.main() == 0
    assert "known before" in capsys.readouterr().out
    assert read(tmp_path / "runs" / "cells-homes.yaml").fleet[0].homes


def test_what_has_no_homes(plan):
    with pytest.raises(BadInput, match="--by chance: must be one of program, learned, nearest"):
        Assigning(plan, 1.0, 2).assigned("chance")
    with pytest.raises(BadInput, match="smoke has no group with several options"):
        Assigning(read("smoke"), 1.0, 2)
    with pytest.raises(BadInput, match="12 clients x 2 servers x 9000 cases: at most 40,000"):
        Assigning(plan, 1.0, 9000)


def test_a_home_is_reckoned_with_all_that_asking_takes(plan):
    """A device part of .5 s and payloads of 1,000 bits at 1,000 bits a second; work makes servers smaller."""
    near, far = plan.fleet[0].options
    asked = near.model_copy(update={"device_s": 0.5, "payload_bytes": 125, "work": 2.0})
    link = plan.fleet[0].link.model_copy(update={"bandwidth_bps": 1e3})
    group = plan.fleet[0].model_copy(update={"options": (asked, far), "link": link})
    changed = Assigning(plan.model_copy(update={"fleet": (group, plan.fleet[1])}), 1.0, 2).instance(0)
    assert changed.latency[0, 0, 0] == pytest.approx(0.5 + 1.0 + 2 * 0.1)
    assert changed.capacity.tolist() == pytest.approx([0.8 * 20 / 2, 0.8 * 20])
