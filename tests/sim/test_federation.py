"""Clients that learn together, in virtual time: every instant of small stories, and the laws of any of them.

Unless a story says otherwise: rounds at 10, 20, 30, … of ten steps of 0.1 s, merged 4 s after they begin;
links take a second each way; the server works and clients send every request.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tried import tried
from worlds import MadeUpLearner, WrittenArrivals, differences, group_of, made_up, poisson, product
from worlds import scenario_of as plain_scenario

from sim.engine.choice import EnginePath
from sim.engine.models import Models
from sim.engine.run import Run
from sim.messages import Learned, Update
from sim.results.events import events
from sim.results.federation import rounds_together
from sim.results.packing import pack, unpack
from sim.scenario import Scenario
from sim.world.windows import EvenWindows
from sim.world.world import World

TIMES = {"every_s": 10.0, "steps": 10, "step_s": 0.1, "wait_s": 4.0}


def scenario_of(
    down: tuple[tuple[float, float], ...] = (),
    cut: tuple[tuple[float, float], ...] = (),
    horizon_s: float = 45.0,
    group: dict[str, Any] | None = None,
    **federation: Any,
) -> Scenario:
    """Three clients; down: outages of the server; cut: of all links."""
    outages = [
        {"when": {"kind": "intervals", "at": at}, "target": target}
        for at, target in ((down, {"kind": "server"}), (cut, {"kind": "links", "groups": ("devices",)}))
        if at
    ]
    own = {"link": {"latency": 1.0}, "clients": 3, "rejector": {"per": "client"}, "timeout_s": 9.0}
    own["policy"] = {"score": "l2h", "price": {"kind": "threshold", "at": -10.0}}
    return plain_scenario(
        horizon_s=horizon_s,
        fleet=(group_of(**(own | (group or {}))),),
        server={"service": {"kind": "affine", "base_s": 0.25}, "outages": tuple(outages)},
        federation=TIMES | federation,
    )


def told(scenario: Scenario, numbers: int = 0) -> pd.DataFrame:
    """The table `federation`."""
    return pd.DataFrame(rounds_together(World(scenario).sharing((numbers,) * len(scenario.fleet))))


def held(scenario: Scenario, what: str, client: int = 0) -> list[tuple[float, int]]:
    """What a client has, and from when on."""
    versions = getattr(World(scenario).federated, what)
    mine = slice(versions.first[client], versions.first[client + 1])
    pairs = zip(versions.at_s[mine].tolist(), versions.version[mine].tolist(), strict=True)
    return [(pytest.approx(at), version) for at, version in list(pairs)[1:]]


# Stories.


def test_a_round_trains_then_merges_then_tells():
    """Ready at 11, uploaded at 12, merged at 14, back at 15; so in each round of the four."""
    scenario = scenario_of()
    assert held(scenario, "rejectors") == [
        (11, 1), (15, 2), (21, 3), (25, 4), (31, 5), (35, 6), (41, 7)
    ]  # fmt: skip
    assert held(scenario, "copies") == [(15, 1), (25, 2), (35, 3)]  # the fourth comes back at the horizon
    assert told(scenario)["fate"].tolist() == ["merged"] * 4
    assert told(scenario)["received"].tolist() == [3, 3, 3, 0]


def test_nothing_is_merged_while_the_server_is_down():
    """In the second round it is down as they are to be merged; clients go on with their own."""
    scenario = scenario_of(down=((23.0, 26.0),))
    assert told(scenario)["fate"].tolist() == ["merged", "lost", "merged", "merged"]
    assert held(scenario, "rejectors")[:5] == [(11, 1), (15, 2), (21, 3), (31, 4), (35, 5)]
    assert held(scenario, "copies")[:2] == [(15, 1), (35, 2)]


def test_an_outage_over_a_round_lets_no_version_come_into_force_in_it():
    known = World(scenario_of(down=((20.0, 30.0),))).federated
    assert known is not None
    for versions in (known.copies, known.rejectors):
        came = versions.at_s[(versions.at_s >= 20.0) & (versions.at_s < 30.0)]
        assert set(came.tolist()) <= {21.0}  # what clients trained themselves
    assert not ((known.copies.at_s >= 20.0) & (known.copies.at_s < 30.0)).any()


def test_an_upload_waits_for_the_server_and_may_come_too_late():
    """Down until 12.5: what left at 12.5 is there at 13.5. Down until 13.5: at 14.5, after the merge."""
    assert told(scenario_of(down=((10.5, 12.5),)))["uploaded"].tolist()[0] == 3
    late = told(scenario_of(down=((10.5, 13.5),)))
    assert late["uploaded"].tolist()[0] == 0
    assert late["fate"].tolist()[0] == "lost"


def test_an_upload_that_meets_the_server_down_is_sent_again():
    """Sent at 11, at 12 nobody is there; again at 12.5."""
    assert told(scenario_of(down=((11.5, 12.5),)))["uploaded"].tolist()[0] == 3
    assert told(scenario_of(down=((11.5, 13.1),)))["uploaded"].tolist()[0] == 0


def test_a_link_that_breaks_an_upload_off_has_it_sent_again():
    assert told(scenario_of(cut=((11.5, 12.2),)))["uploaded"].tolist()[0] == 3
    assert told(scenario_of(cut=((11.5, 13.5),)))["uploaded"].tolist()[0] == 0


def test_a_broadcast_waits_for_its_link_until_the_next_round():
    """Merged at 14 over a link that is cut from 13 on: back at 18, or never if it is cut until 19.5."""
    assert held(scenario_of(cut=((13.0, 17.0),)), "copies")[0] == (18, 1)
    missed = scenario_of(cut=((13.0, 19.5),))
    assert held(missed, "copies")[0] == (25, 2)
    assert told(missed)["received"].tolist()[:2] == [0, 3]


def test_rejectors_take_the_time_of_their_bytes():
    """500 numbers of four bytes at 16 kbit/s take a second more each way; with their precision two more."""
    narrow = {"link": {"latency": 1.0, "bandwidth_bps": 16_000}}
    rows = told(scenario_of(group=narrow), 500)
    assert rows["uploaded"].tolist() == [3] * 4  # there at 13
    assert rows["last_received_at_s"].tolist()[0] == pytest.approx(16)
    assert told(scenario_of(group=narrow, merge="laplace"), 500)["uploaded"].tolist() == [3] * 4  # at 14
    assert told(scenario_of(group=narrow, merge="laplace"), 501)["uploaded"].tolist() == [0] * 4


def test_bytes_are_clients_times_numbers_times_four_times_rounds_that_got_through():
    rows = told(scenario_of(down=((23.0, 26.0),), horizon_s=46.0), 700)
    assert rows["bytes_up"].sum() == 3 * 700 * 4 * 3 + 3 * 700 * 4  # of the lost round, too: they were there
    assert rows["bytes_down"].sum() == 3 * 700 * 4 * 3
    twice = told(scenario_of(merge="laplace", horizon_s=46.0), 700)
    assert twice["bytes_up"].tolist() == [2 * 3 * 700 * 4] * 4
    assert twice["bytes_down"].tolist() == [3 * 700 * 4] * 4


def test_without_merging_nothing_is_sent():
    scenario = scenario_of(merge="none", down=((0.0, 45.0),))
    assert held(scenario, "rejectors") == [(11, 1), (21, 2), (31, 3), (41, 4)]
    assert held(scenario, "copies") == []
    assert told(scenario, 700)[["bytes_up", "bytes_down"]].to_numpy().sum() == 0
    assert set(told(scenario)["fate"]) == {"own"}


def test_who_is_absent_neither_trains_nor_sends_nor_hears():
    scenario = scenario_of(absent=0.5, horizon_s=400.0, group={"clients": 40})
    known = World(scenario).federated
    assert known is not None
    present = [set(one.trains.tolist()) for one in known.rounds]
    assert len({frozenset(one) for one in present}) > 30
    mean = np.mean([len(one) for one in present]) / 40
    assert abs(mean - 0.5) < 4 * 0.5 / np.sqrt(40 * len(present))  # four standard deviations: 6e-5
    for one, here in zip(known.rounds, present, strict=True):
        assert set(one.uploads.tolist()) <= here
        assert set(one.receives.tolist()) <= here
    again = World(scenario.model_copy(update={"horizon_s": 200.0})).federated
    assert again is not None  # a draw does not depend on how many rounds there are
    assert [one.trains.tolist() for one in again.rounds] == [
        one.trains.tolist() for one in known.rounds[: len(again.rounds)]
    ]


def test_only_those_hear_whose_fellows_sent_something():
    """Clients 0 and 2 share a model, client 1 has another and its link is cut."""
    cut = {"when": {"kind": "intervals", "at": ((10.0, 14.0),)}}
    scenario = plain_scenario(
        horizon_s=20.0,
        fleet=tuple(
            group_of(name, clients=clients, link={"latency": 1.0}, policy={"score": "l2h"}, timeout_s=9.0)
            for name, clients in (("devices", 2), ("others", 1))
        ),
        server={
            "service": {"kind": "affine", "base_s": 0.25},
            "outages": (cut | {"target": {"kind": "links", "groups": ("others",)}},),
        },
        federation=TIMES,
    )
    rows = told(scenario)
    assert rows["uploaded"].tolist() == [2, 0]
    assert rows["received"].tolist() == [2, 0]


def test_events_and_time_line_tell_versions_and_staleness():
    scenario = scenario_of(down=((23.0, 26.0),))
    rows = events(World(scenario), [[]], World(scenario).schedule)
    merges = [
        (at, kind, value)
        for at, kind, target, value in zip(*rows.values(), strict=True)
        if target == "rejectors"
    ]
    assert merges == [
        (14.0, "rejectors_merged", 1.0),
        (24.0, "merge_lost", 2.0),
        (34.0, "rejectors_merged", 2.0),
        (44.0, "rejectors_merged", 3.0),
    ]
    seconds = run_of(scenario)[2]
    behind = dict(zip(seconds["at_s"], seconds["copy_staleness"], strict=True))
    assert [behind[at] for at in (14.0, 15.0, 16.0, 35.0, 36.0)] == [0.0, 1.0, 0.0, 1.0, 0.0]
    assert set(seconds["server_version"]) == {0}


# Runs.


def learned_of(scenario: Scenario) -> Learned:
    return replace(made_up(scenario), shared_numbers=(700,) * len(scenario.fleet))


def run_of(
    scenario: Scenario, window_s: float = 60.0, path: str = "simpy"
) -> tuple[pd.DataFrame, MadeUpLearner, pd.DataFrame]:
    learned = learned_of(scenario)
    learner = MadeUpLearner(scenario, learned)
    run = Run(
        World(scenario), learned, poisson(scenario, 1.0), learner, EnginePath(path, ""), EvenWindows(window_s)
    )
    parts, seconds = [], []
    while not run.is_over:
        chunk = run.advance()
        parts.append(chunk.requests.to_pandas())
        seconds.append(pd.DataFrame(chunk.seconds))
    requests = pd.concat(parts).sort_values("request_id", ignore_index=True)
    return requests, learner, pd.concat(seconds, ignore_index=True)


def test_each_answer_is_told_once_and_none_is_lost_between_training_and_merging():
    """Over all rounds: what came in time before the last one began, of samples that are not held out."""
    scenario = scenario_of(label_delay_s=0.5)
    requests, learner, _ = run_of(scenario, 3.7)
    given_away = [
        (client, at)
        for one in learner.training_rounds
        for client, at in zip(one.feedback.client, one.feedback.answered_at_s, strict=True)
    ]
    last = learner.training_rounds[-1].at_s
    known = requests[
        (requests["outcome"] == "remote") & ~requests["held_out"] & (requests["answered_at_s"] + 0.5 <= last)
    ]
    assert len(known) > 20
    assert sorted(given_away) == sorted(zip(known["client_id"], known["answered_at_s"], strict=True))
    decided = sum(one.feedback.decided.sum() for one in learner.training_rounds)
    held_in = requests[~requests["held_out"]]
    assert decided == (held_in["decided_at_s"] + 0.5 <= last).sum()


def test_a_decision_is_taken_by_the_version_in_force():
    requests, _, _ = run_of(scenario_of())
    bounds = [11, 15, 21, 25, 31, 35, 41]
    assert requests["rejector_version"].tolist() == [
        sum(at >= bound for bound in bounds) for at in requests["decided_at_s"]
    ]
    assert requests["copy_version"].tolist() == [
        sum(at >= bound for bound in (15, 25, 35)) for at in requests["decided_at_s"]
    ]


@pytest.mark.parametrize("absent", [0.0, 0.4])
def test_windows_and_clocks_change_no_row(absent):
    scenario = scenario_of(down=((23.0, 26.0),), absent=absent)
    one, _, seconds = run_of(scenario)
    for window_s, path in ((3.7, "simpy"), (60.0, "compiled")):
        other, _, theirs = run_of(scenario, window_s, path)
        pd.testing.assert_frame_equal(one, other)
        if window_s == 60.0:
            pd.testing.assert_frame_equal(seconds, theirs)


@pytest.mark.parametrize("stops_at_s", [9.0, 12.0, 16.0, 24.0])
def test_a_run_goes_on_to_the_same_rows(stops_at_s):
    """Before a round, between training and merging, between merging and the broadcasts, and later."""
    scenario = scenario_of()
    whole, _, _ = run_of(scenario, stops_at_s)
    learned = learned_of(scenario)

    def begun() -> Run:
        learner = MadeUpLearner(scenario, learned)
        source = poisson(scenario, 1.0)
        return Run(
            World(scenario), learned, source, learner, EnginePath("simpy", ""), EvenWindows(stops_at_s)
        )

    first, then = begun(), begun()
    parts = [first.advance().requests.to_pandas()]
    then.restore(unpack(pack(first.kept())))
    while not then.is_over:
        parts.append(then.advance().requests.to_pandas())
    again = pd.concat(parts).sort_values("request_id", ignore_index=True)
    pd.testing.assert_frame_equal(whole, again)


def test_who_sends_nothing_new_is_like_a_run_without_federation():
    """One round, in which nobody is ready before the horizon: no decision is another."""
    arrivals = WrittenArrivals(tuple((0.1 * k, k % 3) for k in range(90)))
    scenario = scenario_of(horizon_s=10.5)
    without = scenario.model_copy(update={"federation": None})
    learned = made_up(scenario)
    ours, _ = product(scenario, learned, arrivals, 60.0)
    theirs, _ = product(without, learned, arrivals, 60.0)
    assert differences(ours, theirs) == []


# Any timetable, against one written client by client.


def by_hand(
    scenario: Scenario, down: list[tuple[float, float]], cut: list[tuple[float, float]]
) -> list[dict[str, float]]:
    """What becomes of each round for one client whose transfers take a second: whether it is merged, and when
    its broadcast arrives, inf for never. Steps of the clock are eighths of a second."""

    def up(periods: list[tuple[float, float]], at: float) -> bool:
        return not any(begin <= at < end for begin, end in periods)

    def passes(at: float) -> bool:
        eighths = [at + k / 8 for k in range(9)]
        return all(up(cut, moment) for moment in eighths)

    def sent(at: float, until: float, to_server: bool) -> float:
        while at < until:
            leaves = up(down, at) and passes(at)
            if leaves and (not to_server or up(down, at + 1.0)):
                return at + 1.0
            at += 1.0 if leaves else 1 / 8  # who meets the server down starts over
        return np.inf

    found, due = [], 10.0
    while due + 1.0 < scenario.horizon_s:
        merges, following = due + 4.0, min(due + 10.0, scenario.horizon_s)
        there = sent(due + 1.0, merges, to_server=True)
        is_merged = merges < scenario.horizon_s and there <= merges and up(down, merges)
        back = sent(merges, following, to_server=False) if is_merged else np.inf
        found.append({"merged": is_merged, "back": back if back < following else np.inf})
        due += 10.0
        if due >= scenario.horizon_s:
            break
    return found


periods = st.lists(
    st.tuples(st.integers(0, 350), st.integers(1, 40)).map(lambda pair: (pair[0] / 8, sum(pair) / 8)),
    max_size=6,
)


@tried(150)
@given(periods, periods)
@example(down=[(22.25, 23.125)], cut=[(16.25, 21.25)])
def test_any_timetable_is_what_one_finds_by_hand(down, cut):
    scenario = scenario_of(tuple(down), tuple(cut), group={"clients": 1})
    known, expected = World(scenario).federated, by_hand(scenario, down, cut)
    assert known is not None
    assert [bool(one.merged) for one in known.rounds] == [one["merged"] for one in expected]
    for one, by in zip(known.rounds, expected, strict=True):
        assert one.received_at_s.tolist() == [by["back"]] * (by["back"] < np.inf)


def test_a_server_that_learns_nothing_keeps_one_table_of_answers():
    """However many versions of rejectors there are."""
    models = Models(made_up(plain_scenario()).tables, 1)
    nothing = Update(None, (None,) * len(models.scores), {})
    for version in range(1, 50):
        models.add(version, nothing)
    assert len(models.server_label) == 1
