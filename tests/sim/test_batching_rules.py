"""What cannot go together with batches of a device is told in a line; a run that breaks their laws fails."""

from __future__ import annotations

import re
from typing import Any

import pytest
from worlds import MadeUpLearner, WrittenArrivals, group_of, made_up, scenario_of

from sim.engine.handlers import batching
from sim.engine.linking import handler
from sim.engine.run import chunks
from sim.errors import RunFailed
from sim.scenario import Scenario
from sim.scenario.rules.batching import batches_can_leave
from sim.scenario.rules.checks import findings
from sim.world.world import World

OFTEN = WrittenArrivals(tuple((n / 8, n % 2) for n in range(96)))
LINK = {"latency": 0.05, "bandwidth_bps": 16_000.0, "payload_bytes": 500}  # a quarter of a second
TWO = ({"option": "a", "server": "server"}, {"option": "b", "server": "server"})
OVER = {"link": LINK | {"over": ("cell",)}}


def world(batch: dict[str, Any], device: dict[str, Any] | None = None, **parts: Any) -> Scenario:
    network = ({"link": "cell", "bandwidth_bps": 1e6},) if "over" in parts.get("link", {}) else ()
    group = group_of(clients=2, **({"device": {"batch": batch} | (device or {}), "link": LINK} | parts))
    return scenario_of(fleet=(group,), server={"service": {"kind": "affine", "base_s": 0.1}}, network=network)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({}, ""),
        ({"options": TWO, "choose": "order"}, "batch: .* clients of this group have 2 options: must be null"),
        (
            {"options": ({"option": "a", "server": "server", "device_s": 0.5},)},
            "batch: .* not yet where the device has a part",
        ),
        (OVER, "batch: .* not yet over shared links: must be null"),
        ({"device": {"idle_w": 0.5}}, "batch: .* not yet where something is said of what devices draw"),
        (
            {"arrivals": {"process": {"kind": "closed_loop", "think": 1.0}}},
            "batch.size: 3 its clients ask for 1 at once .*: must be at most at_once",
        ),
        ({"arrivals": {"process": {"kind": "closed_loop", "think": 1.0, "at_once": 3}}}, ""),
    ],
)
def test_what_cannot_be_is_told(parts, words):
    scenario = world({"size": 3}, **parts)
    said = [
        f"{'.'.join(map(str, path))}: {value} {rule}" for path, value, rule in batches_can_leave(scenario)
    ]
    assert len(said) == bool(words)
    assert re.search(words, "".join(said))
    assert bool(list(findings(scenario))) == bool(words)


def run(scenario: Scenario) -> int:
    """Gives how many transmissions of several there were."""
    learned, found = made_up(scenario), 0
    for chunk in chunks(World(scenario), learned, OFTEN, 5.0, MadeUpLearner(scenario, learned)):
        names = chunk.requests["transmission"].to_pandas()
        found += int((names[names >= 0].value_counts() > 1).sum())
    return found


sound_full, sound_first = batching.is_full, batching.first_held
sound_leaves = batching.set_out_together


@handler
def one_more(w: Any, send: Any) -> Any:
    """Full where one more was decided, or is collected, than there should be."""
    client = w.rows.client[w.sends.row[send]]
    held = w.clients.held[client]
    size = w.groups.batch_size[w.clients.group[client]]
    return held > size


@handler
def last_first(w: Any, client: Any) -> Any:
    """Whoever came last leaves first, and gives the transmission its name."""
    send = w.clients.first_held[client]
    if w.clients.held[client] > 1:
        before = send
        while w.lists.after[send] != w.clients.last_held[client]:
            send = w.lists.after[send]
        before, send = send, w.lists.after[send]
        w.clients.last_held[client] = before
        w.clients.held[client] -= 1
        return send
    return sound_first(w, client)


@handler
def quick(_slow: Any, _client: Any, _now: Any, _above: Any) -> Any:
    """A link that is faster than it says."""
    return 0.5


@handler
def alone(w: Any, r: Any, now: Any, first: Any, count: Any) -> Any:
    """All leave, but no transmission is noted."""
    sound_leaves(w, r, now, first, count)
    send = first
    for _ in range(count):
        w.sends.transmission[send] = -1
        send = w.lists.after[send]


@pytest.mark.parametrize(
    ("batch", "place", "mutant", "words"),
    [
        ({"size": 3}, "is_full", one_more, "carries 4 requests|of several times 3 decisions"),
        ({"size": 3, "of": "sends"}, "is_full", one_more, "carries 4 requests in a batch of 3"),
        ({"size": 3}, "first_held", last_first, "is not named by its first"),
        ({"size": 3}, "slowed", quick, "took less time than its bytes need"),
        ({"size": 3}, "set_out_together", alone, "a send left alone"),
    ],
)
def test_a_batch_that_breaks_a_law_is_seen(monkeypatch, batch, place, mutant, words):
    scenario = world(batch)
    assert run(scenario) > 5
    module = "batching" if place == "slowed" else "transmitting"
    monkeypatch.setattr(f"sim.engine.handlers.{module}.{place}", mutant)
    with pytest.raises(RunFailed, match=words):
        run(scenario)


@handler
def much_later(w: Any, r: Any, now: Any, send: Any) -> Any:
    """It waits for longer than it may."""
    sound_hold(w, r, now + 1.0, send)


sound_hold = batching.hold


def test_a_wait_that_is_too_long_is_seen(monkeypatch):
    scenario = world({"size": 50, "wait_s": 0.5})
    assert run(scenario) > 5
    monkeypatch.setattr("sim.engine.handlers.clients.hold", much_later)
    with pytest.raises(RunFailed, match="waited for longer than it may"):
        run(scenario)
