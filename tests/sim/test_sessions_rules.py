"""Laws of sessions on random worlds, what cannot go together with them, and runs that break their laws."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies_sessions import agreeing, session_worlds
from test_sessions import NOBODY, SERVER, played, working
from tried import tried
from worlds import MadeUpLearner, group_of, scenario_of

from sim.engine.choice import EnginePath
from sim.engine.handlers import sessions as handlers
from sim.engine.linking import handler
from sim.engine.run import Run
from sim.errors import RunFailed
from sim.results.packing import pack, unpack
from sim.scenario import Scenario
from sim.scenario.rules.checks import findings
from sim.scenario.rules.sessions import sessions_can_be_played
from sim.world.windows import EvenWindows
from sim.world.world import World


def cut_off(draft: int, at: tuple[tuple[float, float], ...] = (), items: int = 20, **parts: Any) -> Scenario:
    """Three clients whose links, and whose server, are down at times."""
    links = {"when": {"kind": "intervals", "at": at}, "target": {"kind": "links", "groups": ("devices",)}}
    server = SERVER | {"replicas": 3, "outages": (links,) if at else ()}
    fleet = working(items, draft, **({"clients": 3, "timeout_s": 3.0} | parts))
    return scenario_of(horizon_s=60.0, fleet=(fleet,), server=server)


@tried(24)
@given(
    draft=st.integers(1, 8),
    more=st.integers(0, 20),
    at=st.sampled_from([(), ((5.0, 15.0),), ((2.0, 9.0), (20.0, 21.0), (30.0, 44.5))]),
    share=st.sampled_from([0.0, 0.5, 0.8, 1.0]),
)
def test_final_answers_are_those_of_asking_for_every_item(draft, more, at, share):
    """Law 3, item by item and bit by bit, whatever is drafted, cut off and taken back; and a draft that is
    shown first is the client's own answer."""
    drafting, asking = cut_off(draft, at, backlog=draft + more), cut_off(0)
    learned = agreeing(asking, share, seed=draft, samples=200)
    items, plain = (played(one, learned)[1].set_index(["client_id", "item"]) for one in (drafting, asking))
    final = items[items["final_at_s"].notna()]
    asked = plain[plain["final_at_s"].notna()].add_suffix("_asked")
    both = final.join(asked, how="inner")
    assert len(both) > 30
    for name in ("sample_id", "final_label", "label"):
        assert (both[name] == both[f"{name}_asked"]).all()
    assert (final["final_label"] == final["server_label"]).all()
    drafted = items[items["drafts"] > 0]
    first = drafted["shown_at_s"] < drafted["final_at_s"].fillna(np.inf)
    assert (drafted["shown_label"] == drafted["client_label"])[first].mean() >= 0.99


@tried(40)
@given(session_worlds())
def test_items_are_numbered_and_drafts_counted(world):
    """Final items come one after another, each once; every draft is of a block; what is taken back was
    drafted; shown no later than final, and begun before."""
    scenario, learned, _, chunk_s = world
    blocks, items = played(scenario, learned, "simpy", chunk_s)
    for _, mine in items.groupby("client_id"):
        assert mine["item"].tolist() == list(range(len(mine)))
        is_final = mine["final_at_s"].notna().to_numpy()
        assert not np.any(np.diff(is_final.astype(int)) > 0)
        assert (np.diff(mine["final_at_s"][is_final]) >= 0).all()
    assert (items["taken_back"] <= items["drafts"]).all()
    assert items["drafts"].sum() <= blocks["drafts"].sum()
    assert (items["shown_at_s"] >= items["begun_at_s"]).all()
    assert not (items["final_at_s"] < items["shown_at_s"]).any()


def test_a_block_brings_as_many_items_as_the_law_says():
    """Law 1, α = .8 and γ = 4: (1 − α⁵)/(1 − α) = 3.36, .297 calls an item. Items a block have a standard
    deviation of about 1.5, so 4 standard errors are a false alarm once in 16,000 seeds."""
    session = {"items": 10_000, "draft": 4}
    fleet = working(1, clients=8, device={"inference_s": 0.0}, link={"latency": 0.0}) | {"session": session}
    scenario = scenario_of(horizon_s=100.0, fleet=(fleet,), server=SERVER | {"replicas": 8})
    learned = agreeing(scenario, 0.8, samples=20_000)
    _, items = played(scenario, learned, "compiled")
    alpha = (items["client_label"] == items["server_label"]).mean()
    brought = items[items["request_id"] >= 0].groupby("request_id").size()
    assert alpha == pytest.approx(0.8, abs=0.02)
    expected = (1 - 0.8**5) / (1 - 0.8)
    assert expected == pytest.approx(3.3616)
    assert brought.mean() == pytest.approx(expected, abs=4 * brought.std() / len(brought) ** 0.5)


def test_what_is_shown_while_cut_off_is_as_right_as_the_clients_own_model():
    scenario = cut_off(4, ((10.0, 50.0),), items=900, backlog=400, device={"inference_s": 0.25})
    learned = agreeing(scenario, 0.6, samples=500)
    _, items = played(scenario, learned)
    shown = items[(items["shown_at_s"] >= 11.0) & (items["shown_at_s"] < 50.0)]
    assert len(shown) > 50
    assert (shown["shown_label"] == shown["client_label"]).all()
    right = shown["client_label"] == shown["label"]
    assert ((shown["shown_label"] == shown["label"]) == right).all()


def test_what_is_kept_of_sessions_is_all_that_goes_on():
    scenario = cut_off(3, ((5.0, 15.0),), backlog=9)
    learned = agreeing(scenario, 0.8, samples=300)

    def run() -> Run:
        learner = MadeUpLearner(scenario, learned)
        return Run(World(scenario), learned, NOBODY, learner, EnginePath("compiled", ""), EvenWindows(4.0))

    whole, broken, seen = run(), run(), []
    for number in range(15):
        chunk, other = whole.advance(), broken.advance()
        assert chunk.requests.to_pandas().equals(other.requests.to_pandas())
        assert all(chunk.items[name].tobytes() == other.items[name].tobytes() for name in chunk.items)
        seen.append(len(chunk.items["item"]))
        kept = unpack(pack(broken.kept()))
        if number < 14:
            broken = run()
            broken.restore(kept)
    whole.finish()
    assert sum(seen) > 100


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({}, ""),
        (
            {"arrivals": {"process": {"kind": "poisson", "rate_hz": 1.0}}},
            "process.kind: poisson .*closed_loop",
        ),
        (
            {"arrivals": {"process": {"kind": "closed_loop", "think": 1.0, "at_once": 2}}},
            "at_once: 2 a session has one block at a time: must be 1",
        ),
        ({"backlog": 1}, "session.backlog: 1 must be at least draft, 2"),
        ({"policy": {"price": {"kind": "threshold", "at": 0.1}}}, "price.kind: threshold every block"),
        ({"policy": {"price": {"kind": "always_local"}}, "draft": 0}, "session.draft: 0 who never asks"),
        ({"fallback": "none"}, "fallback: none drafts of a session stand"),
        ({"provisional_after_s": 1.0}, "provisional_after_s: 1.0 drafts of a session are shown"),
        ({"device": {"batch": {"size": 1}}}, "session: .* not yet with device.batch: must be null"),
        ({"device": {"idle_w": 0.5}}, "session: .* devices draw: must be null"),
        ({"options": ({"option": "a", "server": "server", "device_s": 0.5},)}, "device_s"),
        (
            {"traffic": {"mix": "all", "drift": ({"at_s": 3.0, "classes": (1.0,) * 10},)}},
            "not yet with traffic that drifts",
        ),
        (
            {
                "options": ({"option": "a", "server": "server"}, {"option": "b", "server": "server"}),
                "choose": "order",
            },
            "clients of this group have 2 options",
        ),
    ],
)
def test_what_cannot_be_is_told(parts, words):
    draft = parts.get("draft", 2)
    fleet = working(9, draft, **{name: part for name, part in parts.items() if name != "draft"})
    scenario = scenario_of(fleet=(fleet,), server=SERVER)
    said = [
        f"{'.'.join(map(str, path))}: {value} {rule}"
        for path, value, rule in sessions_can_be_played(scenario)
    ]
    assert len(said) == bool(words)
    assert re.search(words, "".join(said))
    assert bool(list(findings(scenario))) == bool(words)


def test_rows_are_needed():
    scenario = scenario_of(fleet=(working(9),), server=SERVER, detail="none")
    (said,) = sessions_can_be_played(scenario)
    assert said[:2] == (("detail",), "none")
    plain = scenario_of(fleet=(group_of(),), server=SERVER, detail="none")
    assert list(sessions_can_be_played(plain)) == []


sound_drafts, sound_end, sound_pause = handlers.next_drafts, handlers.end_block, handlers.pause_s


@handler
def one_too_many(w: Any, client: Any) -> Any:
    return sound_drafts(w, client) + 1


@handler
def nothing_taken_back(w: Any, row: Any, outcome: Any) -> Any:
    """A block's drafts are final though client and server differ."""
    before = w.sessions.final[w.rows.client[row]]
    sound_end(w, row, outcome)
    client = w.rows.client[row]
    w.sessions.final[client] = w.sessions.drafted[client] = max(w.sessions.final[client], before + 2)


@handler
def a_little_later(w: Any, client: Any, think_s: Any) -> Any:
    return sound_pause(w, client, think_s) + 0.125


@handler
def for_nothing(_w: Any, _row: Any) -> Any:
    return 0


@pytest.mark.parametrize(
    ("place", "mutant", "words"),
    [
        ("sessions.next_drafts", one_too_many, "does not follow the one before"),
        ("clients.end_block", nothing_taken_back, "does not follow the one before"),
        ("clients.pause_s", a_little_later, "does not follow the one before"),
        ("arriving.device_answers", for_nothing, "was sent before it was drafted"),
    ],
)
def test_a_session_that_breaks_a_law_is_seen(monkeypatch, place, mutant, words):
    scenario = cut_off(2)
    learned = agreeing(scenario, 0.5)
    assert len(played(scenario, learned)[1]) > 20
    monkeypatch.setattr(f"sim.engine.handlers.{place}", mutant)
    with pytest.raises(RunFailed, match=words):
        played(scenario, learned)
