"""Neighbours in virtual time: clusters that share an uplink, every instant of small stories, and their laws.

Unless a story says otherwise as in `test_federation`: rounds at 10, 20, 30, … of ten steps of 0.1 s, merged
4 s after they begin; links take a second each way. Three clients are a cluster, a quarter of a second apart.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_federation import held, run_of, scenario_of, told
from tried import tried

from sim.results.events import events
from sim.scenario import Scenario
from sim.scenario.rules.advice import advice
from sim.scenario.rules.checks import findings
from sim.world.neighbours import clusters_of
from sim.world.world import World

NEAR = {"size": 3, "link": {"latency": 0.25}}


def near(*args: Any, neighbours: dict[str, Any] | None = None, **kwargs: Any) -> Scenario:
    return scenario_of(*args, neighbours=NEAR | (neighbours or {}), **kwargs)


def first_round(scenario: Scenario, numbers: int = 0) -> dict[str, Any]:
    return told(scenario, numbers).iloc[0].to_dict()


@tried(100)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(1, 9))
def test_clusters_are_clients_of_one_place_in_turn(place, size):
    cluster = clusters_of(np.array(place), size)
    for one in set(place):
        mine = np.flatnonzero(np.array(place) == one)
        expected = [mine[size * (k // size)] for k in range(len(mine))]
        assert cluster[mine].tolist() == expected


# Stories.


def test_neighbours_gather_and_one_of_them_uploads():
    """Ready at 11, gathered at 11.25, uploaded at 12.25, merged at 14; all three are told at 15."""
    row = first_round(near(), 700)
    assert [row[name] for name in ("uploaded", "uplinks", "received")] == [3, 1, 3]
    assert (row["bytes_up"], row["bytes_between"]) == (700 * 4, 2 * 700 * 4)
    assert row["last_received_at_s"] == pytest.approx(15)
    round_one = World(near()).federated.rounds[0]
    assert round_one.heads.tolist() == [0]
    assert round_one.gives.tolist() == [1, 2]
    assert round_one.clusters.tolist() == [0, 0, 0]
    assert held(near(), "rejectors") == held(scenario_of(), "rejectors")


@pytest.mark.parametrize(("latency", "uploads"), [(2.0, 3), (2.01, 0)])
def test_what_is_gathered_too_late_is_lost_for_all_of_them(latency, uploads):
    """Uploaded a second later: at 14, or after that."""
    scenario = near(neighbours={"link": {"latency": latency}})
    row = first_round(scenario)
    assert row["uploaded"] == uploads
    assert row["fate"] == ("merged" if uploads else "lost")


def test_bytes_between_neighbours_take_their_time():
    """500 numbers of four bytes at 16 kbit/s: a second; with their precision two."""
    narrow = {"link": {"latency": 1.0, "bandwidth_bps": 16_000.0}}
    assert first_round(near(neighbours=narrow), 500)["uploaded"] == 3  # at 14
    assert first_round(near(neighbours=narrow), 501)["uploaded"] == 0
    twice = near(neighbours=narrow | {"size": 2}, merge="laplace")
    assert first_round(twice, 251)["uploaded"] == 1  # the third, who is alone
    assert first_round(twice, 250)["bytes_between"] == 250 * 8


def test_the_first_that_takes_part_uploads_and_nobody_where_nobody_does():
    known = World(near(absent=0.6, horizon_s=2000.0)).federated
    sizes = {0, 1, 2, 3}
    for one in known.rounds:
        if one.fate == "unfinished":
            continue
        assert one.heads.tolist() == one.trains.tolist()[:1]
        assert one.gives.tolist() == one.trains.tolist()[1:]
        assert one.uploads.tolist() == one.trains.tolist()
        sizes.discard(len(one.trains))
    assert not sizes  # all of these were met


def cut_of_one(seed: int, at: tuple[float, float]) -> Scenario:
    """The link of one of three clients is cut."""
    links = {"kind": "links", "groups": ("devices",), "share": 0.4}
    cut = {"when": {"kind": "intervals", "at": (at,)}, "target": links}
    plain = near().model_dump()
    plain["server"]["outages"] = (cut,)
    return Scenario.model_validate(plain | {"seed": seed})


def test_whose_link_is_down_leaves_the_upload_to_the_next():
    """Of two seeds: the link of the first is cut, or another's."""
    heads = {}
    for seed in range(12):
        scenario = cut_of_one(seed, (10.5, 19.0))
        (cut,) = World(scenario).links.hit(3).nonzero()[0].tolist()
        round_one = World(scenario).federated.rounds[0]
        heads[cut] = round_one.heads.tolist()
        assert round_one.uploads.tolist() == [0, 1, 2]
        assert cut not in round_one.receives
    assert heads == {0: [1], 1: [0], 2: [0]}


def test_a_cluster_whose_links_are_all_down_waits_with_its_first():
    """Cut until 12: gathered at 11.25, uploaded at 13; cut until 13.5: never."""
    assert World(near(cut=((10.5, 12.0),))).federated.rounds[0].heads.tolist() == [0]
    assert first_round(near(cut=((10.5, 13.5),)))["uplinks"] == 0


def test_an_outage_of_the_server_keeps_no_neighbour_from_the_other():
    """Nothing is uploaded, and what was gathered has been sent."""
    row = first_round(near(down=((10.5, 13.5),)), 100)
    assert (row["fate"], row["bytes_up"], row["bytes_between"]) == ("lost", 0, 800)


def test_clients_that_move_are_neighbours_of_those_of_their_cell(tmp_path):
    """Clients 0 and 2 are in one cell at first and 1 in another; from 15 s on 1 and 2 are together."""
    path = tmp_path / "moves.csv"
    path.write_text("client,time,cell\n1,0,south\n2,0,north\n2,15,south\n")
    moves = {"cells": ("north", "south"), "file": str(path)}
    rounds = World(near(group={"moves": moves})).federated.rounds
    assert [one.heads.tolist() for one in rounds[:2]] == [[0, 1], [0, 1]]
    assert [one.clusters.tolist() for one in rounds[:2]] == [[0, 1, 0], [0, 1, 1]]


def left_out(scenario: Scenario) -> list[tuple[float, float]]:
    """When which clusters are told to have uploaded nothing."""
    world = World(scenario)
    rows = events(world, [[(0.0, 1)]], world.schedule)
    told_of = zip(rows["kind"], rows["at_s"], rows["value"], strict=True)
    return [(at_s, first) for kind, at_s, first in told_of if kind == "cluster_left_out"]


def test_clusters_are_left_out_that_came_too_late_and_none_that_dropped_out():
    """Of three whose uploads meet a server that is down each, or the two clusters of two and one."""
    down = ((10.5, 13.5),)
    assert left_out(near(down=down, neighbours={"size": 2})) == [(14.0, 0.0), (14.0, 2.0)]
    assert left_out(near(down=down, neighbours={"size": 1})) == [(14.0, 0.0), (14.0, 1.0), (14.0, 2.0)]
    assert left_out(near(down=down, dropout=1.0)) == []
    assert left_out(near(down=down, neighbours={"one_uplink": False})) == []


# Laws.


@pytest.mark.parametrize("merge", ["average", "laplace"])
@pytest.mark.parametrize("size", [2, 3, 4, 6, 12])
def test_uplink_bytes_fall_by_the_size_of_a_cluster(size, merge):
    """Exactly, where everybody takes part and clusters are full; what goes between neighbours is the rest."""
    many = {"clients": 12}
    each = told(scenario_of(group=many, merge=merge), 300)
    some = told(near(group=many, merge=merge, neighbours={"size": size}), 300)
    assert (some["bytes_up"] * size).tolist() == each["bytes_up"].tolist()
    assert (some["bytes_up"] + some["bytes_between"]).tolist() == each["bytes_up"].tolist()
    for column in ("fate", "trained", "uploaded", "received", "bytes_down"):
        assert some[column].tolist() == each[column].tolist()


@pytest.mark.parametrize("size", [2, 3])
def test_so_do_those_of_prototypes(size):
    many = {"clients": 6, "fallback": "prototype"}
    each = told(scenario_of(group=many, learns="prototypes"), 300)
    some = told(near(group=many, learns="prototypes", neighbours={"size": size}), 300)
    assert (some["bytes_up"] * size).tolist() == each["bytes_up"].tolist() != [0] * len(each)
    assert some["received"].tolist() == each["received"].tolist()


outages = st.lists(
    st.tuples(st.integers(0, 350), st.integers(1, 40)).map(lambda pair: (pair[0] / 8, sum(pair) / 8)),
    max_size=4,
)


@tried(60)
@given(outages, outages, st.sampled_from([0.0, 0.4]))
def test_clusters_of_one_are_a_federation_without_neighbours(down, cut, absent):
    """All instants, whatever fails, and however far apart neighbours would be."""
    asked = (tuple(down), tuple(cut))
    alone = near(*asked, absent=absent, neighbours={"size": 1, "link": {"latency": 9.0}})
    without = scenario_of(*asked, absent=absent)
    ours, theirs = World(alone).federated, World(without).federated
    for one, other in zip(ours.rounds, theirs.rounds, strict=True):
        assert not len(one.gives)
        assert one.heads.tolist() == other.uploads.tolist()
        same = replace(one, gives=other.gives, heads=other.heads, near=other.near)
        assert repr(same) == repr(other)
    mine, others = told(alone, 300), told(without, 300)
    pd.testing.assert_frame_equal(mine[list(others)], others)
    assert mine["bytes_between"].sum() == 0


@tried(60)
@given(outages, outages, st.integers(1, 7), st.sampled_from([0.0, 0.4]))
def test_a_cluster_uploads_once_or_not_at_all(down, cut, size, absent):
    group = {"clients": 7}
    scenario = near(tuple(down), tuple(cut), absent=absent, group=group, neighbours={"size": size})
    for one in World(scenario).federated.rounds:
        if one.fate not in {"merged", "lost"}:
            continue
        cluster = {client: client - client % size for client in one.trains.tolist()}
        assert len(one.heads) == len({cluster[client] for client in one.heads.tolist()})
        assert one.uploads.tolist() == [
            client for client in cluster if cluster[client] in {cluster[head] for head in one.heads.tolist()}
        ]
        assert set(one.gives.tolist()) | set(one.heads.tolist()) <= set(one.trains.tolist())


def test_windows_and_clocks_change_no_row():
    scenario = near(down=((23.0, 26.0),), absent=0.3, group={"clients": 7})
    one, _, seconds = run_of(scenario)
    for window_s, path in ((3.7, "simpy"), (60.0, "compiled")):
        other, _, theirs = run_of(scenario, window_s, path)
        pd.testing.assert_frame_equal(one, other)
        if window_s == 60.0:
            pd.testing.assert_frame_equal(seconds, theirs)


@pytest.mark.parametrize(
    ("federation", "key", "what"),
    [
        ({"merge": "none"}, "one_uplink", "nothing is uploaded with merge: none: must be false"),
        ({"merge": "median"}, "one_uplink", "a median of medians is not the median of all"),
        ({"neighbours": {"size": 1}}, "size", "a cluster of one has nobody to share with"),
    ],
)
def test_what_does_not_add_up_is_refused(federation, key, what):
    (finding,) = findings(near(**federation))
    assert finding.path == ("federation", "neighbours", *key.split("."))
    assert what in finding.sentence


def test_neighbours_that_do_nothing_are_refused():
    (finding,) = findings(near(neighbours={"one_uplink": False}))
    assert finding.path == ("federation", "neighbours")
    assert "must be null" in finding.sentence
    hands = {"one_uplink": False, "hand_over": {"sample_bytes": 9}}
    assert not list(findings(near(neighbours=hands)))


@pytest.mark.parametrize(
    ("latency", "told_of"), [(3.0, 0), (3.1, 1), ({"kind": "exponential", "mean_s": 4}, 1)]
)
def test_neighbours_that_gather_for_longer_than_is_left_are_told(latency, told_of):
    """Three seconds are left after the steps."""
    found = list(advice(near(neighbours={"link": {"latency": latency}})))
    assert [finding.path[-1] for finding in found] == ["latency"] * told_of
