"""Where models go: the search itself, on servers that can be worked out, and the command on small fleets."""

from __future__ import annotations

from itertools import product
from math import inf
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import l2h_fleet
from analysis.statistics.placement import NOTHING, Placement, Room, Seen, every, greedy, number_of_all
from commands import main as command_line
from commands.learnings import learned_for
from commands.placing import Placing
from sim.engine.run import Run
from sim.scenario import Scenario, read
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.world import World


def room_of(memory: tuple[float, ...], needs: tuple[float, ...], most: int = 9) -> Room:
    pairs = product(range(len(memory)), range(len(needs)))
    return Room(memory, (most,) * len(memory), needs, frozenset(pairs))


def fluid(wanted: tuple[float, ...], speed: tuple[float, ...]) -> Any:
    """What is served where each model's requests are dealt evenly to its servers, and a server that is asked
    for too much serves all alike."""

    def see(placed: Placement) -> Seen:
        copies = [sum(model == m for _, m in placed) for model in range(len(wanted))]
        reached = [
            sum(wanted[m] / copies[m] for s, m in placed if s == server) for server in range(len(speed))
        ]
        passed = [min(1.0, hz / came) if came else 0.0 for hz, came in zip(speed, reached, strict=True)]
        served = [0.0] * len(wanted)
        for server, model in placed:
            served[model] += wanted[model] / copies[model] * passed[server]
        unserved = tuple(max(a - b, 0.0) for a, b in zip(wanted, served, strict=True))
        return Seen(placed, sum(served), tuple(served), unserved, tuple(reached))

    return see


def test_all_that_fits_is_enumerated_once():
    room = room_of((2.0, 1.0), (1.0, 1.0, 2.0))
    found = list(every(room))
    assert len(found) == len(set(found)) == number_of_all(room) - 1 == 5 * 3 - 1
    assert all(room.holds(one) for one in found)
    assert not room.holds(frozenset({(1, 2)}))
    assert not room_of((2.0,), (1.0, 1.0), most=1).holds(frozenset({(0, 0), (0, 1)}))


@pytest.mark.parametrize(
    ("wanted", "speed", "memory"),
    [
        ((3.0, 1.0, 2.0), (3.0, 3.0), (2.0, 2.0)),
        ((5.0, 1.0, 1.0, 1.0), (3.0, 3.0, 3.0), (2.0, 2.0, 2.0)),
        ((1.0, 1.0, 1.0, 9.0), (2.0, 4.0, 6.0), (1.0, 2.0, inf)),
    ],
)
def test_the_search_is_no_better_than_all_and_not_far_behind(wanted, speed, memory):
    room, see = room_of(memory, (1.0,) * len(wanted)), fluid(wanted, speed)
    begin = Seen(NOTHING, 0.0, (0.0,) * len(wanted), wanted, (0.0,) * len(speed))
    found = greedy(room, begin, see)
    best = max(see(one).goodput_hz for one in every(room))
    assert all(room.holds(one.placed) for one in found)
    assert [one.rank for one in found] == sorted(one.rank for one in found)
    assert 0.9 * best <= found[0].goodput_hz <= best
    assert len(found) < number_of_all(room) - 1


def group(name: str, server: str, model: str | None, rate_hz: float, **parts: Any) -> dict[str, Any]:
    base = {
        "group": name,
        "clients": 4,
        "model": {"family": "linear", "train_samples": 50, "epochs": 1},
        "arrivals": {"process": {"kind": "poisson", "rate_hz": rate_hz / 4}},
        "policy": {"score": "confidence", "price": {"kind": "always_remote"}},
        "options": [{"option": "it", "server": server, "model": model, "link": {"latency": 0.01}}],
        "deadline_s": 1.0,
    }
    return base | parts


SERVICE = {"kind": "affine", "base_s": 0.2}
FLEET: dict[str, Any] = {
    "name": "placing",
    "horizon_s": 60,
    "warm_up_s": 10,
    "data": {"set": "gaussian_mixture", "samples": 600},
    "models": {
        "a": {"family": "linear", "memory_bytes": 6e9},
        "b": {"family": "linear", "memory_bytes": 3e9},
        "c": {"family": "linear", "memory_bytes": 3e9},
    },
    "servers": [
        {"server": "one", "models": ["b", "c"], "memory_bytes": 7e9, "service": SERVICE},
        {"server": "two", "models": ["a"], "memory_bytes": 7e9, "service": SERVICE},
    ],
    "fleet": [group("x", "two", "a", 1.0), group("y", "one", "b", 4.0), group("z", "one", "c", 3.0)],
    "training": {"pretrain": {"epochs": 1}},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("L2H_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def served_hz(plan: Scenario) -> float:
    world = World(plan)
    run, served = Run(world, learned_for(plan), ScenarioArrivals(world)), 0
    while not run.is_over:
        rows = run.advance().requests.to_pandas()
        served += int(((rows["outcome"] == "remote") & (rows["arrived_at_s"] >= plan.warm_up_s)).sum())
    return served / (plan.horizon_s - plan.warm_up_s)


def test_a_placement_is_found_and_a_run_of_it_serves_what_was_said(here):
    found = l2h_fleet.placement(FLEET, exhaustive=True)
    rows = found.table.set_index("placement")
    written = rows.loc["one: b, c; two: a", "goodput_hz"]
    best = rows["goodput_hz"].max()
    assert rows.loc[rows.index[0], "goodput_hz"] == best
    assert len(rows) == 24  # of 5 * 5 that fit all but nothing at all
    assert written < best
    assert "best of all 24" in found.answer
    searched = rows[rows["met_in"] == "search"]["goodput_hz"].max()
    assert 0.9 * best <= searched
    (here / "placed.yaml").write_text(found.scenario)
    placed = read(here / "placed.yaml")
    assert {one.server: list(one.models or ()) for one in placed.servers or ()} == {
        name: models for name, models in found.best.items() if models
    }
    assert served_hz(placed) == pytest.approx(searched, rel=1e-9)


def test_what_is_written_serves_what_a_run_of_it_serves():
    found = l2h_fleet.placement(FLEET)
    (here,) = found.table[found.table["placement"] == "one: b, c; two: a"]["goodput_hz"]
    assert here == pytest.approx(served_hz(l2h_fleet.Scenario(FLEET).document), rel=1e-9)


def test_options_with_scores_of_their_own_keep_them():
    """Each group may ask two models, which the rejector scores; a copy has the score of its model."""
    both = [
        {"option": "first", "server": "one", "model": "b"},
        {"option": "second", "server": "two", "model": "a"},
    ]
    policy = {"score": "plug_in", "price": {"kind": "threshold", "at": -1.0}}
    fleet = [group("x", "two", "a", 3.0, options=both, policy=policy), *FLEET["fleet"][1:]]
    found = l2h_fleet.placement(FLEET | {"fleet": fleet}, beam=1)
    first = found.table.iloc[0]
    assert first["placement"] == "one: b; two: b"
    assert first["goodput_hz"] == first["served_hz.b"] > 0


def test_the_command_writes_the_scenario_and_the_table(here, monkeypatch, capsys):
    (here / "fleet.yaml").write_text(l2h_fleet.Scenario(FLEET).yaml)
    words = ["placement", "fleet.yaml", "--out", "found", "--quiet", "--beam", "1"]
    monkeypatch.setattr("sys.argv", ["run_sim.py", *words])
    assert command_line.main() == 0
    told = capsys.readouterr().out
    assert "best: " in told
    assert read(here / "found" / "placed.yaml").servers
    table = pd.read_csv(here / "found" / "placement.csv")
    assert (table["goodput_hz"].diff().dropna() <= 0).all()
    (here / "found" / "other").write_text("")
    assert command_line.main() == 2


SWITCH = {"kind": "backlog", "above": 8, "below": 2}
TWICE = [{"option": name, "server": "two", "model": "a"} for name in ("it", "again")]


def test_a_placed_option_asks_what_the_written_one_asks():
    own = {"payload_bytes": 9, "device_s": 0.1, "device_j": 0.2, "work": 0.5}
    options = [{"option": "it", "server": "two", "model": "a"} | own]
    fleet = [group("x", "two", "a", 1.0, options=options), *FLEET["fleet"][1:]]
    placing = Placing(l2h_fleet.Scenario(FLEET | {"fleet": fleet}).document)
    (placed,) = placing.placed(frozenset({(0, 0), (1, 1)})).fleet[0].options or ()
    assert placed.server == "one"
    assert {key: getattr(placed, key) for key in own} == own


SMALL = {"name": "small", "horizon_s": 30, "server": {"service": SERVICE}}


@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        (
            SMALL
            | {
                "fleet": [
                    {"group": "g", "clients": 2, "arrivals": {"process": {"kind": "poisson", "rate_hz": 1.0}}}
                ]
            },
            "one server with one model: nothing is to place",
        ),
        (FLEET | {"horizon_s": 0, "warm_up_s": 0}, "has no time to look at"),
        (
            FLEET
            | {"models": {f"m{n}": {"family": "linear"} for n in range(5)}}
            | {"servers": [{"server": f"s{n}", "service": SERVICE} for n in range(3)]}
            | {"fleet": [group("x", "s0", f"m{n}", 1.0, group=f"g{n}") for n in range(5)]},
            "32,768 placements fit: at most 4,096",
        ),
        (FLEET | {"models": FLEET["models"] | {"b": {"of_group": "x"}}}, "has peers_of or of_group"),
        (
            FLEET
            | {"servers": [FLEET["servers"][0] | {"switch": SWITCH}, FLEET["servers"][1]]}
            | {"models": FLEET["models"] | {"c": {"family": "linear", "work": 2.0}}}
            | {"fleet": [group("x", "two", "a", 1.0), group("y", "one", None, 4.0)]},
            "has a server with a switch",
        ),
        (
            FLEET | {"servers": [FLEET["servers"][0] | {"load_s": 0.1}, FLEET["servers"][1]]},
            "has a server with load_s",
        ),
        (
            FLEET
            | {"fleet": [group("x", "two", "a", 1.0, options=TWICE, choose="order"), *FLEET["fleet"][1:]]},
            "x has several ways to one model",
        ),
    ],
)
def test_what_cannot_be_placed(scenario, said):
    with pytest.raises(l2h_fleet.BadInput, match=said):
        l2h_fleet.placement(scenario, exhaustive=True)
