"""Heads in virtual time: when each client has which, what answers by it, and what the features cost.

Unless a story says otherwise: rounds at 10, 20, 30, 40 of ten steps of 0.1 s, merged 4 s after they begin, a
second each way and a second of work at the server; three clients that send everything.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds import MadeUpLearner, WrittenArrivals, group_of, made_up, product
from worlds import scenario_of as plain_scenario

from sim.engine.choice import EnginePath
from sim.engine.heads import HeadTables
from sim.engine.run import Run
from sim.results.events import events
from sim.results.federation import rounds_together
from sim.results.packing import pack, unpack
from sim.scenario import Scenario
from sim.scenario.rules import checks
from sim.world.windows import EvenWindows
from sim.world.world import World

TIMES = {"learns": "heads", "every_s": 10.0, "steps": 10, "step_s": 0.1, "wait_s": 4.0}
CLOCKS = (EnginePath("simpy", ""), EnginePath("compiled", ""))


def scenario_of(horizon_s: float = 45.0, group: dict[str, Any] | None = None, **federation: Any) -> Scenario:
    own = {"link": {"latency": 1.0}, "clients": 3, "reply": "features", "timeout_s": 9.0}
    own["policy"] = {"score": "confidence", "price": {"kind": "always_remote"}}
    return plain_scenario(
        horizon_s=horizon_s,
        fleet=(group_of(**(own | (group or {}))),),
        server={"service": {"kind": "affine", "base_s": 1.0}, "replicas": 9},
        federation=TIMES | federation,
    )


def held(scenario: Scenario, client: int = 0) -> list[tuple[float, int]]:
    """Which heads a client has, and from when on."""
    heads = World(scenario).federated.heads
    mine = slice(heads.first[client], heads.first[client + 1])
    pairs = zip(heads.at_s[mine].tolist(), heads.version[mine].tolist(), strict=True)
    return [(pytest.approx(at), version) for at, version in list(pairs)[1:]]


def told(scenario: Scenario, numbers: int = 0) -> pd.DataFrame:
    return pd.DataFrame(rounds_together(World(scenario).sharing((numbers,))))


def answered(scenario: Scenario, pairs: tuple[tuple[float, int], ...], path: EnginePath) -> pd.DataFrame:
    return product(scenario, made_up(scenario), WrittenArrivals(pairs), 60.0, path=path)[0]


# Stories.


def test_shared_heads_step_then_merge_then_come_back():
    """Ready at 11, uploaded at 12, merged at 14, back at 15."""
    assert held(scenario_of(horizon_s=35.0)) == [(11, 1), (15, 2), (21, 3), (25, 4), (31, 5)]
    assert not World(scenario_of()).federated.rejectors.version.any()


def test_from_then_on_they_are_personal():
    """Rounds that are due at 30 or later merge nothing, and nobody sends anything in them."""
    scenario = scenario_of(heads={"personalise_at_s": 30.0})
    assert held(scenario) == [(11, 1), (15, 2), (21, 3), (25, 4), (31, 5), (41, 6)]
    rows = told(scenario, 100)
    assert rows["fate"].tolist() == ["merged", "merged", "own", "own"]
    assert rows["bytes_up"].tolist() == rows["bytes_down"].tolist() == [1200, 1200, 0, 0]
    world = World(scenario)
    found = events(world, [[(0.0, 9)]], world.schedule)
    known = zip(*(found[name] for name in ("kind", "target", "value")), strict=True)
    assert {("heads_merged", "heads", 2.0), ("heads_personal", "heads", 3.0)} <= set(known)
    assert "dropped" not in rows


@pytest.mark.parametrize("never", [{"merge": "none"}, {"heads": {"personalise_at_s": 5.0}}])
def test_heads_that_were_never_shared_do_not_become_personal(never: dict[str, Any]):
    world = World(scenario_of(**never))
    assert {one.fate for one in world.federated.rounds} == {"own"}
    assert "heads_personal" not in events(world, [[(0.0, 9)]], world.schedule)["kind"]


@pytest.mark.parametrize("path", CLOCKS, ids=["simpy", "compiled"])
def test_who_answers_is_the_head_of_the_instant_at_which_features_come_back(path: EnginePath):
    """Asked at 7.9, back at 10.9: no head yet. Asked at 8, back at 11, the instant of the first: by it."""
    scenario = scenario_of()
    rows = answered(scenario, ((7.9, 0), (8.0, 1), (12.0, 2), (40.0, 0)), path)
    by_request = rows.set_index(rows["client_id"].astype(str) + "@" + rows["arrived_at_s"].astype(str))
    assert by_request["head_version"].to_dict() == {"0@7.9": 0, "1@8.0": 1, "2@12.0": 2, "0@40.0": 7}
    first = by_request.loc["0@7.9"]
    assert first["head_label"] == first["answer_label"] == first["server_label"]
    assert (by_request["answer_label"] == by_request["head_label"]).all()


@pytest.mark.parametrize("path", CLOCKS, ids=["simpy", "compiled"])
def test_features_take_their_link_s_time_and_errors_do_not(path: EnginePath):
    """512 bytes at 4096 bit/s are a second on the way back; a refusal is as fast as ever."""
    group = {"link": {"latency": 1.0, "reply_bytes": 512, "bandwidth_bps": 4096.0}}
    scenario = scenario_of(group=group)
    rows = answered(scenario, ((1.0, 0),), path)
    assert rows["answered_at_s"].tolist() == [5.0]
    down = {"when": {"kind": "intervals", "at": ((0.0, 20.0),)}, "target": {"kind": "server"}}
    server = scenario.server.model_dump() | {"outages": (down,), "when_down": "refuse"}
    refused = Scenario.model_validate(scenario.model_dump() | {"server": server})
    assert answered(refused, ((1.0, 0),), path)["answered_at_s"].tolist() == [3.0]


def test_who_drops_out_keeps_what_it_learned_and_gets_nothing():
    """Of two hundred some 60 drop out of each round, others each time: they neither upload nor receive."""
    group = {"clients": 200}
    everybody, some = told(scenario_of(group=group)), told(scenario_of(group=group, dropout=0.3))
    assert everybody["uploaded"].tolist() == [200] * 4
    assert some["trained"].tolist() == [200] * 4
    assert (some["uploaded"] == some["received"])[:3].all()
    assert (some["uploaded"] + some["dropped"] == 200).all()
    assert all(110 < many < 170 for many in some["uploaded"])
    rounds = World(scenario_of(group=group, dropout=0.3)).federated.rounds
    assert len({one.uploads.tobytes() for one in rounds}) == 4
    fewer = World(scenario_of(group={"clients": 100}, dropout=0.3)).federated.rounds
    for one, other in zip(rounds, fewer, strict=True):  # keyed by client and round, whoever else there is
        assert one.uploads[one.uploads < 100].tolist() == other.uploads.tolist()
    came = np.concatenate([one.uploads for one in rounds])
    assert 199 in came, "the last client may take part, too"


def test_windows_and_a_checkpoint_change_no_answer():
    scenario = scenario_of(heads={"personalise_at_s": 20.0}, group={"clients": 4})
    draw = np.random.default_rng(3)
    at = np.sort(draw.uniform(0, 45, 120)).tolist()
    pairs = tuple((one, int(who)) for one, who in zip(at, draw.integers(4, size=120), strict=True))
    learned, arrivals = made_up(scenario), WrittenArrivals(pairs)
    whole = product(scenario, learned, arrivals, 60.0)[0]
    assert whole["head_version"].nunique() >= 6
    pd.testing.assert_frame_equal(whole, product(scenario, learned, arrivals, 3.7)[0])

    def run() -> Run:
        learner = MadeUpLearner(scenario, learned)
        return Run(World(scenario), learned, arrivals, learner, CLOCKS[0], EvenWindows(16.0))

    begun, then = run(), run()
    parts = [begun.advance().requests.to_pandas()]
    then.restore(unpack(pack(begun.kept())))
    while not then.is_over:
        parts.append(then.advance().requests.to_pandas())
    again = pd.concat(parts).sort_values("request_id", ignore_index=True)
    assert (again["head_label"] == whole["head_label"]).all()
    assert (again["head_version"] == whole["head_version"]).all()


def test_tables_that_nobody_will_ask_are_forgotten():
    tables, heads = HeadTables(), World(scenario_of()).federated.heads
    for version in range(1, 5):
        tables.add(version, (np.full((3, 2), version, dtype=np.int16),))
    tables.forget(heads, np.array([np.nan, 18.0]), 22.0)  # the second row's answer came when 2 was there
    assert [version for version, _ in tables.kept()] == [2, 3, 4]
    tables.forget(heads, np.array([np.nan]), 25.0)
    assert [version for version, _ in tables.kept()] == [3, 4]


# What is refused.


@pytest.mark.parametrize(
    ("group", "federation", "path", "words"),
    [
        ({}, {}, None, ""),
        ({}, {"learns": "rejectors"}, "reply", "needs federation with learns: heads"),
        ({"reply": "label"}, {}, "learns", "no group has reply: features"),
        ({}, {"merge": "laplace"}, "merge", "none, average or median"),
        ({}, {"share": "head"}, "share", "must be all"),
        ({}, {"learns": "prototypes", "heads": {}}, "heads", "must be null"),
        ({}, {"merge": "none", "heads": {"personalise_at_s": 9.0}}, "personalise_at_s", "must be null"),
        ({}, {"heads": {"personalise_at_s": 45.0}}, "personalise_at_s", "must be less than horizon_s"),
        ({}, {"heads": {"personalise_at_s": 40.0}}, None, ""),
        ({}, {"heads": {"personalise_at_s": 40.5}}, "personalise_at_s", "must be at most 40, when the last"),
        ({}, {"merge": "none", "dropout": 0.1}, "dropout", "must be 0"),
        ({}, {"heads": {"personalise_at_s": 0.0}, "dropout": 0.1}, "dropout", "must be 0"),
        (
            {},
            {"heads": {"personalise_at_s": 0.0}, "broken": {"share": 0.5, "fault": "noise"}},
            "broken",
            "personal in every round",
        ),
        (
            {},
            {"heads": {"personalise_at_s": 0.0}, "neighbours": {"size": 2}},
            "one_uplink",
            "heads are personal in every round",
        ),
        ({}, {"unequal": {"step": 0.1}}, "unequal", "heads take as many steps on every device"),
        ({}, {"holds": 30}, "holds", "heads are made of all that a client was told"),
        ({"policy": {"score": "confidence", "price": {"kind": "always_local"}}}, {}, "reply", "never ask"),
        ({"policy": {"score": "confidence", "price": {"kind": "hi_lcb"}}}, {}, "kind", "not the head"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(
    group: dict[str, Any], federation: dict[str, Any], path: str | None, words: str
):
    own = {"rejector": {"per": "variant"}} | group
    found = [
        (one.path[-1], one.sentence)
        for one in checks.findings(scenario_of(group=own, **federation))
        if one.path[-1]
        in {"reply", "learns", "merge", "share", "heads", "personalise_at_s", "dropout", "broken"}
        or "head" in one.sentence
    ]
    if path is None:
        assert found == []
    else:
        assert any(name == path and words in sentence for name, sentence in found), found
