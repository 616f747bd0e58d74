"""Clients that move between cells: where they are, which way their sends take, what may be said of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stories import Story, devices, retries
from worlds import frame, made_up, scenario_of

from sim.engine.run import chunks
from sim.scenario.asking import ways_of
from sim.scenario.rules.checks import retries_can_fit_their_deadline
from sim.scenario.rules.files import measured_durations_can_be_drawn
from sim.scenario.rules.moves import cells_are_there, clients_may_move
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.cells import chain, shares, time_shares
from sim.world.world import World

EVERYTHING = {"score": "random", "price": {"kind": "always_remote"}}
SERVICE = {"kind": "affine", "base_s": 1.0}
SERVERS = ({"server": "north", "service": SERVICE}, {"server": "south", "service": SERVICE})
AT_TEN = {"cells": ("up", "down"), "at": ((0.0, "up"), (10.0, "down"))}
ROAMING = {"cells": ("up", "mid", "down"), "stays": {"kind": "gamma", "mean_s": 10.0, "cv": 0.5}}
LINE = {"up": {"mid": 1.0}, "mid": {"up": 1.0, "down": 3.0}, "down": {"mid": 1.0}}


def asking(moves: dict[str, Any] | None, **parts: Any) -> dict[str, Any]:
    """One option, a second away up and three seconds down."""
    far = {"option": "it", "server": "north", "latency_in": {"up": 1.0, "down": 3.0} if moves else None}
    return devices(**({"policy": EVERYTHING, "moves": moves, "options": (far,)} | parts))


def roaming(clients: int = 200, horizon_s: float = 400.0, **moves: Any) -> Any:
    group = devices(clients=clients, moves=ROAMING | moves)
    return scenario_of(horizon_s=horizon_s, fleet=(group,))


def test_a_send_takes_the_way_from_the_cell_that_it_leaves_there_and_back():
    story = Story((0.0, 0), (9.5, 0), (10.0, 0), fleet=asking(AT_TEN), servers=SERVERS)
    assert story["cell"] == ["up", "up", "down"]
    assert story["reached_at_s"] == [1.0, 10.5, 13.0]
    assert story["answered_at_s"] == [3.0, 12.5, 17.0]


def test_a_retry_leaves_from_the_cell_where_its_client_is_then():
    """What left up at 8 is given up at 10.25, and sent again at 10.5, from down."""
    fleet = asking(AT_TEN, timeout_s=2.25, retry=retries(2, 0.25))
    story = Story((8.0, 0), fleet=fleet, servers=({"server": "north", "service": SERVICE | {"base_s": 9.0}},))
    assert story.attempts["sent_at_s"].tolist() == [8.0, 10.5]
    assert story.attempts["reached_at_s"].tolist() == [9.0, 13.5]


def test_what_a_device_has_done_takes_the_way_from_the_cell_where_it_is_by_then():
    """Decided up at 9.0, done down at 11.0: three seconds there, and three back."""
    part = asking(AT_TEN)["options"][0] | {"device_s": 2.0}
    story = Story((9.0, 0), fleet=asking(AT_TEN, options=(part,)), servers=SERVERS)
    assert story["reached_at_s"] == [14.0]
    assert story["answered_at_s"] == [18.0]


@pytest.mark.parametrize("think", [None, 1.0])
def test_the_nearest_is_another_one_in_another_cell(think):
    """Of two servers each is half a second away in one cell and two seconds in the other; a client of a
    closed loop asks the same."""
    near, far = {"up": 0.5, "down": 2.0}, {"up": 2.0, "down": 0.5}
    options = (
        {"option": "n", "server": "north", "latency_in": near},
        {"option": "s", "server": "south", "latency_in": far},
    )
    fleet = asking(AT_TEN, choose="nearest", options=options)
    if think is None:
        told = Story((8.0, 0), (12.0, 0), fleet=fleet, servers=SERVERS).requests
    else:
        fleet |= {"arrivals": {"process": {"kind": "closed_loop", "think": think}}}
        scenario = scenario_of(horizon_s=30.0, fleet=(fleet,), servers=SERVERS, server=None)
        world = World(scenario)
        (chunk,) = chunks(world, made_up(scenario), ScenarioArrivals(world), 30.0)
        told = frame(chunk.requests)
    assert (told.server == np.where(told.cell == "up", "north", "south")).all()
    assert (told.reached_at_s - told.sent_at_s == 0.5).all()
    assert set(told.cell) == {"up", "down"}


def test_without_a_nearest_cell_it_is_the_shortest_link():
    options = (
        {"option": "n", "server": "north", "link": {"latency": 1.0}},
        {"option": "s", "server": "south", "link": {"latency": 0.5}},
    )
    fleet = devices(choose="nearest", policy=EVERYTHING, options=options)
    assert Story((0.0, 0), fleet=fleet, servers=SERVERS)["server"] == ["south"]


def test_where_all_cells_are_alike_moving_changes_no_row():
    """But for the column that tells the cell."""

    def rows(moves: Any) -> Any:
        group = asking(moves, clients=3, retry=retries(2, 0.5), timeout_s=2.0) | {
            "arrivals": {"process": {"kind": "poisson", "rate_hz": 0.5}},
            "link": {"latency": {"kind": "exponential", "mean_s": 0.5}},
        }
        group["options"] = ({"option": "it", "server": "north"},)
        scenario = scenario_of(horizon_s=60.0, fleet=(group,), servers=SERVERS, server=None)
        world = World(scenario)
        (chunk,) = chunks(world, made_up(scenario), ScenarioArrivals(world), 60.0)
        return chunk

    moving, staying = rows(ROAMING), rows(None)
    assert frame(moving.requests).drop(columns="cell").equals(frame(staying.requests))
    assert frame(moving.attempts).equals(frame(staying.attempts))
    assert len(set(moving.requests["cell"].to_pylist())) == 3


@pytest.mark.parametrize("next_", [None, LINE])
def test_time_in_each_cell_is_that_of_the_chain(next_):
    """From t = 0 on, where clients are met at any time; moves are as frequent as stays are short."""
    scenario = roaming(next=next_)
    held, moves = World(scenario).cells, scenario.fleet[0].moves
    expected = shares(moves)
    np.testing.assert_allclose(expected @ chain(moves), expected)
    client = np.arange(200, dtype=np.int32)
    for at_s in (0.0, 100.0, 399.0):
        here = np.bincount(held.of(client, np.full(200, at_s)), minlength=3) / 200
        assert np.abs(here - expected).max() < 4 * np.sqrt(0.25 / 200)
    number = len(held.in_force.at_s) - 200
    # Of a renewal process the number in t has variance cv²·t/mean, so that of 200 clients is this precise.
    assert abs(number - 200 * 40) < 4 * 0.5 * np.sqrt(200 * 40)


def test_nobody_moves_against_the_chain():
    held = World(roaming(next=LINE)).cells.in_force
    steps = {
        (int(a), int(b))
        for first, end in zip(held.first[:-1], held.first[1:], strict=True)
        for a, b in zip(held.version[first : end - 1], held.version[first + 1 : end], strict=True)
    }
    assert steps == {(0, 1), (1, 0), (1, 2), (2, 1)}


def test_a_longer_run_only_adds_moves():
    short, long = (World(roaming(horizon_s=horizon)).cells.in_force for horizon in (100.0, 400.0))
    kept = long.at_s < 100.0
    assert short.at_s.tobytes() == long.at_s[kept].tobytes()
    assert short.version.tobytes() == long.version[kept].tobytes()


def test_all_may_begin_in_one_cell():
    held = World(roaming(begin="down")).cells
    assert set(held.of(np.arange(200, dtype=np.int32), np.zeros(200)).tolist()) == {2}


def written(folder: Path, *rows: str) -> str:
    file = folder / "moves.csv"
    file.write_text("\n".join(["time,cell,client", *rows]) + "\n")
    return str(file)


def test_clients_go_where_a_file_has_them(tmp_path):
    """Rows stand in any order of clients. Client 0 is up, where its first row has it, before that, too; who
    has no row is in the first cell. Shares of 400 s, means over four clients."""
    rows = "4,up,0", "10,down,0", "0,mid,2", "20,up,2", "30,down,0", "100, down ,1"
    scenario = roaming(clients=4, stays=None, file=written(tmp_path, *rows))
    held = World(scenario).cells
    places = {
        at: held.of(np.arange(4, dtype=np.int32), np.full(4, at)).tolist()
        for at in (0.0, 9.5, 10.0, 20.0, 399.0)
    }
    up, mid, down = range(3)
    assert places[0.0] == places[9.5] == [up, down, mid, up]
    assert places[10.0] == [down, down, mid, up]
    assert places[20.0] == places[399.0] == [down, down, up, up]
    expected = np.array([10 + 380 + 400, 20, 390 + 400]) / 1600
    np.testing.assert_allclose(time_shares(scenario.fleet[0].moves, 4, 400.0), expected)


def test_a_file_of_moves_is_as_the_same_moves_written(tmp_path):
    """Way, retry and column, in both clocks and in the oracle, which the story holds itself against."""
    moves = {"cells": ("up", "down"), "file": written(tmp_path, "0,up,0", "10,down,0")}
    told = Story((0.0, 0), (9.5, 0), (10.0, 0), fleet=asking(moves), servers=SERVERS)
    assert told["cell"] == ["up", "up", "down"]
    assert told["answered_at_s"] == [3.0, 12.5, 17.0]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["0,up,0", "1,upp,3"], "line 3: cell is .*upp.*: is no cell: did you mean up"),
        (
            ["0,up,1000"],
            "line 2: client is 1000.*: must be a client of the group, a whole number from 0 to 999",
        ),
        (["0,up,0.5"], "line 2: client is 0.5"),
        (["-1,up,0"], "line 2: time is -1.*: must be 0 or more"),
        (["soon,up,0"], "line 2: time is .*soon.*: must be a number"),
        (
            ["5,up,0", "1,up,7", "5,mid,0"],
            "line 4: time is 5: must be later than that of the row before of client 0, 5",
        ),
        ([], "has no row"),
        (None, "cannot be read"),
    ],
)
def test_a_file_of_moves_that_is_not_sound_is_told_with_its_line(tmp_path, rows, words):
    file = written(tmp_path, *(rows or ())) if rows is not None else str(tmp_path / "none.csv")
    scenario = roaming(clients=1000, stays=None, file=file)
    ((path, value, rule),) = clients_may_move(scenario)
    assert (path[-1], value) == ("file", file)
    assert re.search(words, rule)


def test_what_a_file_of_moves_goes_with(tmp_path):
    file = written(tmp_path, "0,up,0")
    for more, words in (
        ({}, "give stays, or at, or file"),
        ({"stays": None, "begin": "up"}, "goes with stays"),
    ):
        ((_, _, rule),) = clients_may_move(roaming(file=file, **more))
        assert words in rule


@pytest.mark.parametrize(
    ("moves", "words"),
    [
        ({"at": ((0.0, "up"),)}, "moves: .* give stays, or at, or file"),
        ({"stays": None}, "moves: .* give stays, or at, or file"),
        ({"cells": ("up", "up")}, "cells: .* a name of its own"),
        ({"next": {"upp": {"mid": 1.0}}}, "next: .*upp.* did you mean up"),
        ({"next": {"up": {"midd": 1.0}}}, "next: .*midd.* did you mean mid"),
        ({"next": {"up": {"up": 1.0}}}, "next.up: .* goes from a cell to itself"),
        ({"next": {"up": {"mid": 0.0}}}, "next.up: .* greater than 0"),
        ({"begin": "dwn"}, "begin: .*dwn.* did you mean down"),
        ({"stays": 1e-3}, "stays: .* more than 10,000,000 moves"),
        ({"next": {"up": {"mid": 1.0}, "mid": {"up": 1.0}, "down": {"up": 1.0}}}, ""),
        ({"stays": None, "at": ((1.0, "up"),)}, "at.0: .* the first must be at 0"),
        ({"stays": None, "at": ((0.0, "up"), (0.0, "mid"))}, "at.1: .* later than the one before"),
        ({"stays": None, "at": ((0.0, "upp"),)}, "at.0: .* did you mean up"),
        ({"stays": None, "begin": "up", "at": ((0.0, "up"),)}, "begin: .* goes with stays"),
    ],
)
def test_what_cannot_be_is_told(moves, words):
    scenario = roaming(clients=1000, horizon_s=400.0, **moves)
    said = [f"{'.'.join(map(str, path))}: {value} {rule}" for path, value, rule in clients_may_move(scenario)]
    assert len(said) == bool(words)
    assert re.search(words, "".join(said))


def test_a_measured_latency_in_a_cell_is_read_before_the_run(tmp_path):
    """It may take no time, as a link's may."""
    for seconds, words in (("0\n0.5\n", ""), ("-0.5\n0.5\n", "line 1: -0.5"), (None, "cannot be read")):
        file = tmp_path / "lat.csv"
        file.unlink(missing_ok=True)
        if seconds is not None:
            file.write_text(seconds)
        latency_in = {"up": {"kind": "empirical", "file": str(file)}}
        group = devices(
            moves=AT_TEN, options=({"option": "it", "server": "north", "latency_in": latency_in},)
        )
        scenario = scenario_of(horizon_s=20.0, fleet=(group,), servers=SERVERS, server=None)
        said = [(path, rule) for path, _, rule in measured_durations_can_be_drawn(scenario)]
        assert [path[-3:] for path, _ in said] == [("latency_in", "up", "file")] * bool(words)
        assert words in "".join(rule for _, rule in said)


def test_what_asking_takes_is_told_from_where_clients_are():
    """Three quarters of the time up, a second away; then three seconds."""
    moves = {"cells": ("up", "down"), "at": ((0.0, "up"), (30.0, "down"))}
    group = asking(moves, retry=retries(2, 0.0), deadline_s=2.5, link={"latency": 9.0})
    scenario = scenario_of(horizon_s=40.0, fleet=(group,), servers=SERVERS, server=None)
    (way,) = ways_of(scenario, scenario.fleet[0])
    assert way.link_s == pytest.approx(2 * (0.75 * 1.0 + 0.25 * 3.0))
    assert list(retries_can_fit_their_deadline(scenario)) == []  # from up an error is there after two seconds


@pytest.mark.parametrize(
    ("moves", "latency_in", "words"),
    [
        (None, {"up": 1.0}, "do not move: must be null"),
        (AT_TEN, {"upp": 1.0}, "did you mean up"),
        (AT_TEN, {"up": 1.0}, ""),
    ],
)
def test_options_may_speak_of_their_group_s_cells_alone(moves, latency_in, words):
    option = {"option": "it", "server": "north", "latency_in": latency_in}
    group = devices(moves=moves, options=(option,))
    scenario = scenario_of(horizon_s=20.0, fleet=(group,), servers=SERVERS, server=None)
    said = [rule for _, _, rule in cells_are_there(scenario)]
    assert len(said) == bool(words)
    assert words in "".join(said)
