"""Sessions told item by item: exact time lines of drafts, blocks, cut-offs and backlogs, by both clocks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds import (
    WrittenArrivals,
    differences,
    group_of,
    made_up,
    reference,
    scenario_of,
)

from sim.engine.arrays import sessions
from sim.engine.choice import EnginePath
from sim.engine.run import Run
from sim.messages import Learned
from sim.scenario import Scenario
from sim.world.arrivals.think_times import ThinkTimes
from sim.world.traffic import Traffic
from sim.world.windows import EvenWindows
from sim.world.world import World

SERVER = {"service": {"kind": "affine", "base_s": 0.5, "per_item_s": 0.125}}
NOBODY = WrittenArrivals(())
SAMPLES = 4000  # so many that no two items of a story are the same


def working(items: int, draft: int = 2, **parts: Any) -> dict[str, Any]:
    """A client that thinks a second between sessions, drafts in an eighth of one, and is a quarter away."""
    session = {"items": items, "draft": draft}
    session |= {name: parts.pop(name) for name in ("backlog", "again_s") if name in parts}
    base = {
        "arrivals": {"process": {"kind": "closed_loop", "think": 1.0}},
        "session": session,
        "device": {"inference_s": 0.125},
        "link": {"latency": 0.25},
    }
    return group_of(**(base | parts))


def begins_at(seed: int = 0) -> float:
    """When the first block begins: what is left of the thought that t = 0 falls into."""
    return float(ThinkTimes(seed, 1.0).first(np.array([0]))[0])


def answering(scenario: Scenario, agrees: str) -> Learned:
    """Tables by which the first client and the server answer its items alike (+) or not (-), and all others
    alike."""
    learned, world = made_up(scenario, SAMPLES), World(scenario)
    traffic = Traffic(scenario.seed, world.population, learned.traffic)
    items = np.arange(len(agrees))
    sample = traffic.samples_in(0, 0, items, np.zeros_like(items))
    assert len(set(sample.tolist())) == len(items)
    label = np.broadcast_to(learned.tables.server_label, learned.tables.groups[0].client_label.shape).copy()
    differ = sample[np.array(list(agrees)) == "-"]
    label[:, differ] = (label[:, differ] + 1) % 10
    first, *others = learned.tables.groups
    tables = replace(learned.tables, groups=(replace(first, client_label=label), *others))
    return replace(learned, tables=tables)


def played(scenario: Scenario, learned: Learned, path: str = "simpy", chunk_s: float = 60.0) -> Any:
    """Requests and items, by client and number."""
    run = Run(World(scenario), learned, NOBODY, None, EnginePath(path, ""), EvenWindows(chunk_s))
    requests, items = [], []
    while not run.is_over:
        chunk = run.advance()
        requests.append(chunk.requests.to_pandas())
        items.append(pd.DataFrame(chunk.items))
    run.finish()
    ours = pd.concat(requests).sort_values("request_id", ignore_index=True)
    return ours, pd.concat(items).sort_values(["client_id", "item"], ignore_index=True)


class Story:
    """What became of the first client's blocks and items, which agree as `agrees` says; instants count from
    its first block, and outages with them."""

    def __init__(
        self,
        agrees: str,
        fleet: dict[str, Any],
        server: Any = SERVER,
        cut: Any = (),
        down: Any = (),
        until_s: float = 6.0,
    ) -> None:
        self.begins = begins_at()
        outages = [(cut, {"kind": "links", "groups": ("devices",)}), (down, {"kind": "server"})]
        written = tuple(
            {"when": {"kind": "intervals", "at": ((self.begins + at[0], self.begins + at[1]),)}, "target": to}
            for at, to in outages
            if at
        )
        scenario = scenario_of(
            horizon_s=self.begins + until_s, fleet=(fleet,), server=server | {"outages": written}
        )
        learned = answering(scenario, agrees)
        self.blocks, self.items = played(scenario, learned)
        told, _ = reference(scenario, learned, NOBODY, 60.0)
        assert differences(self.blocks, told) == []
        for path, chunk_s in (("compiled", 60.0), ("simpy", 0.5)):
            for mine, other in zip(
                (self.blocks, self.items), played(scenario, learned, path, chunk_s), strict=True
            ):
                assert mine.equals(other)

    def block(self, name: str) -> list[Any]:
        return self._column(self.blocks, name)

    def item(self, name: str) -> list[Any]:
        return self._column(self.items, name)

    def _column(self, frame: pd.DataFrame, name: str) -> list[Any]:
        values = frame[name] - self.begins if name.endswith("_s") else frame[name]
        rounded = values.round(9) if name.endswith("_s") else values
        return [None if pd.isna(value) else value for value in rounded.tolist()]


def test_a_block_is_drafted_and_sent_and_final_with_its_answer():
    """Two drafts of an eighth, a quarter there, half and three eighths of service, a quarter back: 1.625 s.
    Three of three are accepted, the server's one more among them; the next block begins at once."""
    story = Story("++++++", working(6), until_s=4.4)
    assert story.block("first_item") == [0, 3, 6]
    assert story.block("drafts") == [2, 2, 2]
    assert story.block("arrived_at_s") == [0.0, 1.625, 4.25]  # behind the sixth item it thinks for a second
    assert story.block("decided_at_s") == [0.25, 1.875, None]
    assert story.block("started_at_s") == [0.5, 2.125, None]
    assert story.block("finished_at_s") == [1.375, 3.0, None]
    assert story.block("answered_at_s") == [1.625, 3.25, None]
    assert story.item("shown_at_s") == [0.125, 0.25, 1.625, 1.75, 1.875, 3.25, 4.375]
    assert story.item("begun_at_s") == [0.0, 0.125, 0.25, 1.625, 1.75, 1.875, 4.25]
    assert story.item("final_at_s") == [1.625] * 3 + [3.25] * 3 + [None]
    assert story.item("session") == [0] * 6 + [1]
    assert story.item("request_id") == [0] * 3 + [1] * 3 + [-1]
    assert story.item("drafts") == [1, 1, 0, 1, 1, 0, 1]
    assert story.item("taken_back") == [0] * 7


def test_from_the_first_difference_on_drafts_are_taken_back_and_made_again():
    """The first block's first draft is wrong: the server's answer stands, the second draft is made anew."""
    story = Story("-+++", working(4), until_s=3.75)
    assert story.block("first_item") == [0, 1]
    assert story.item("drafts") == [1, 2, 1, 0]
    assert story.item("taken_back") == [1, 1, 0, 0]
    assert story.item("shown_at_s") == [0.125, 0.25, 1.875, 3.25]
    assert story.item("final_at_s") == [1.625, 3.25, 3.25, 3.25]
    same = story.items["shown_label"] == story.items["final_label"]
    assert same.tolist() == [False, True, True, True]
    assert (story.items["final_label"] == story.items["server_label"]).all()


def test_a_difference_in_the_servers_own_item_takes_nothing_back():
    story = Story("++-+", working(9), until_s=2.0)
    assert story.block("first_item") == [0, 3]
    assert story.item("taken_back") == [0] * 5
    assert story.items["client_label"][2] != story.items["final_label"][2] == story.items["shown_label"][2]


def test_no_block_reaches_beyond_its_session():
    """Of four items the second block has one: one draft, and one answer in half a second and an eighth."""
    story = Story("++++", working(4), until_s=4.0)
    assert story.block("drafts") == [2, 1, 2]
    assert story.block("finished_at_s") == [1.375, 1.625 + 0.125 + 0.25 + 0.625, None]
    assert story.block("arrived_at_s") == [0.0, 1.625, 3.875]


def test_without_drafts_the_server_is_asked_for_each_item():
    story = Story("-+-", working(3, draft=0), until_s=3.5)
    assert story.block("drafts") == [0, 0, 0]
    assert story.block("arrived_at_s") == [0.0, 1.125, 2.25]
    assert story.item("shown_at_s") == story.item("final_at_s") == [1.125, 2.25, 3.375]
    assert story.item("begun_at_s") == [0.0, 1.125, 2.25]


def test_who_never_asks_is_right_as_often_as_its_own_model():
    fleet = working(3, policy={"score": "l2h", "price": {"kind": "always_local"}})
    story = Story("-+-+", fleet, until_s=2.0)
    assert story.block("outcome") == ["local"] * 4
    assert story.block("drafts") == [2, 1, 2, 1]
    assert story.block("arrived_at_s") == [0.0, 0.25, 1.375, 1.625]
    assert story.item("final_at_s") == [0.25, 0.25, 0.375, 1.625, 1.625, 1.75]
    assert (story.items["final_label"] == story.items["client_label"]).all()


def test_a_block_carries_the_payloads_of_its_items():
    """8 · 1000 / 64,000 = an eighth each, three of them, and the latency once."""
    link = {"latency": 0.25, "bandwidth_bps": 64_000.0, "payload_bytes": 1000}
    story = Story("+++", working(3, link=link), until_s=2.5)
    assert story.block("reached_at_s") == [0.25 + 0.25 + 0.375]
    assert story.block("answered_at_s") == [0.875 + 0.875 + 0.25]


def test_a_batch_takes_as_long_as_its_items():
    """Two clients' blocks of three items each in one batch: half a second, and six eighths."""
    fleet = working(3) | {"clients": 2, "link": {"latency": 0.0}, "device": {"inference_s": 0.0}}
    server = SERVER | {"max_batch": 2, "batch_wait_s": 5.0}
    scenario = scenario_of(horizon_s=5.0, fleet=(fleet,), server=server)
    learned = answering(scenario, "+++")
    blocks, _ = played(scenario, learned)
    first = blocks[blocks["first_item"] == 0]
    assert first["batch_size"].tolist() == [2, 2]
    assert (first["finished_at_s"] - first["started_at_s"]).round(9).tolist() == [1.25, 1.25]


def test_cut_off_a_client_goes_on_as_far_as_its_backlog_has_room():
    """The link goes at .2 and is back at 1.1. Two drafts, and the block finds the link down; two more, and
    one, for the backlog holds five; then it asks every half second. At 1.125 the oldest two and one more are
    verified; the backlog is drafted already, so blocks begin at once and hold three each."""
    fleet = working(9, backlog=5, again_s=0.5)
    story = Story("+" * 9, fleet, cut=(0.2, 1.1), until_s=6.0)
    assert story.block("outcome")[:4] == ["link_down"] * 3 + ["remote"]
    assert story.block("arrived_at_s")[:4] == [0.0, 0.25, 0.5, 1.125]
    assert story.block("drafts") == [2, 2, 1, 0, 0, 2, 2][: len(story.blocks)]
    assert story.block("first_item")[:6] == [0, 0, 0, 0, 3, 6]
    assert story.item("shown_at_s")[:5] == [0.125, 0.25, 0.375, 0.5, 0.625]
    assert story.item("final_at_s")[:6] == [2.5] * 3 + [3.875] * 3
    assert story.item("shown_at_s")[5] == 3.875  # the server's own
    assert story.item("taken_back") == [0] * len(story.items)


def test_a_difference_in_the_backlog_takes_back_all_behind_it():
    """Five drafts wait; the second is wrong, so the third to the fifth are made again."""
    fleet = working(9, backlog=5, again_s=0.5)
    story = Story("+-+++++++", fleet, cut=(0.2, 1.1), until_s=3.0)
    assert story.block("first_item") == [0, 0, 0, 0, 2]
    assert story.block("drafts") == [2, 2, 1, 0, 2]
    assert story.item("taken_back") == [0, 1, 1, 1, 1]
    assert story.item("drafts") == [1, 1, 2, 2, 1]
    assert story.item("shown_at_s") == [0.125, 0.25, 0.375, 0.5, 0.625]  # they stay shown meanwhile


def test_a_server_that_swallows_is_noticed_by_the_timer():
    """It is down from the start until 2.3: what left at .25 and 2 is swallowed, as timers tell at 1.75 and
    3.5; the third block drafts nothing, for four wait."""
    fleet = working(9, backlog=4, timeout_s=1.5)
    story = Story("+" * 9, fleet, SERVER | {"when_down": "silent"}, down=(-0.2, 2.3), until_s=6.2)
    assert story.block("outcome")[:3] == ["timed_out", "timed_out", "remote"]
    assert story.block("arrived_at_s") == [0.0, 1.75, 4.5, 5.875][: len(story.blocks)]
    assert story.block("drafts")[:3] == [2, 2, 0]
    assert story.item("shown_at_s")[:4] == [0.125, 0.25, 1.875, 2.0]


def test_retries_of_a_block_are_the_same_block():
    retry = {"attempts": 3, "backoff_s": 0.5, "factor": 1.0, "jitter": "none", "allowance": None}
    fleet = working(3, timeout_s=1.75, retry=retry)
    story = Story("+++", fleet, SERVER | {"when_down": "refuse"}, down=(-0.2, 0.9), until_s=3.0)
    assert story.blocks["attempts"].tolist()[0] == 2
    assert story.block("first_item")[0] == 0
    assert story.item("final_at_s") == [0.25 + 0.5 + 0.5 + 1.375] * 3


def test_a_session_of_one_item_is_a_block_of_it():
    """Drafted in an eighth, a quarter each way and five eighths at the server: the answer comes at 1.25, and
    after a second's thought, or what is drawn of one, the next item is a block of its own."""
    story = Story("+-+", working(1), until_s=4.0)
    assert story.block("first_item")[:2] == [0, 1]
    assert story.block("drafts")[:2] == [1, 1]
    assert story.item("final_at_s")[0] == 1.25


@pytest.mark.parametrize("path", ["simpy", "compiled"])
@pytest.mark.parametrize("draft", [0, 1, 2, 3])
def test_items_are_drawn_again_as_they_are_used_up(path, draft, monkeypatch):
    """Eight blocks of them at a time, or 256: some five hundred in one window."""
    scenario = scenario_of(
        horizon_s=40.0,
        fleet=(working(100, draft, device={"inference_s": 0.01}, link={"latency": 0.01}),),
        server={"service": {"kind": "affine", "base_s": 0.01, "per_item_s": 0.001}},
    )
    learned = made_up(scenario)
    many = played(scenario, learned, path)
    monkeypatch.setattr(sessions, "FEWEST", 1)
    for mine, other in zip(many, played(scenario, learned, path), strict=True):
        assert len(mine) > 100
        assert mine.equals(other)
