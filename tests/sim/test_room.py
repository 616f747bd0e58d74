"""Room: before each event the walk asks for all that it will take, and arrays are never written beyond that.
Compiled code looks at no bounds, so this is played in plain Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from stories import devices, retries, server
from strategies import several, worlds
from tried import tried
from worlds import WrittenArrivals, differences, group_of, made_up, product, scenario_of

from sim.engine.arrays import context, requests_ahead
from sim.engine.arrays.context import Context
from sim.engine.choice import EnginePath
from sim.engine.events import DONE
from sim.engine.handlers import MODULES, walk
from sim.engine.linking import link
from sim.engine.simpy_clock import SimPyClock

MOST = 400  # more than any event takes


def cut(w: Any, what: str, n: int) -> Any:
    """The arrays as if there were room for n of these."""
    if what == "events":
        return w._replace(events=w.events._replace(at=w.events.at[:, :n]))
    if what == "passed":
        return w._replace(network=w.network._replace(passed=w.network.passed[:n]))
    if what in ("sends", "rows"):
        name = "row" if what == "sends" else "client"
        column = getattr(getattr(w, what), name)[:n]
        return w._replace(**{what: getattr(w, what)._replace(**{name: column})})
    return w._replace(**{what: getattr(w, what)[:n]})


class Watching:
    """Stands in for `lacks`: holds what an event took against the least room that it would have been played
    with."""

    def __init__(self) -> None:
        self.least: dict[str, int] = {}

    def __call__(self, w: Any, r: Any, stations: Any, code: Any, subject: Any) -> Any:
        self.look(r)
        why = walk.lacks(w, r, stations, code, subject)
        if why == DONE:
            for what in ("events", "sends", "rows", "steps", "stopped", "passed"):
                used = int(r[what])
                self.least[what] = next(
                    n
                    for n in range(used, used + MOST)
                    if walk.lacks(cut(w, what, n), r, stations, code, subject) == DONE
                )
        return why

    def look(self, r: Any) -> None:
        taken = {what: int(r[what]) for what, n in self.least.items() if r[what] > n}
        assert not taken, f"took {taken}, and asked for {self.least}"


class Plain(SimPyClock):
    """The walk of the compiled clock in plain Python."""

    def play(self, state: Any, stretch: Any, learning: Any) -> Any:
        watching = Watching()
        played = link(MODULES, {walk.lacks: watching})[walk.walk]
        here = Context(self._fixed, self._functions, state, stretch, learning)
        with np.errstate(over="ignore"):
            while (why := played(here.arrays, here.registers, here.stations)) != DONE:
                here.help(why)
        watching.look(here.registers[0])
        return here.read_back()


class PlainPath(EnginePath):
    def clock(self, parameters: Any) -> Any:
        return Plain(parameters)


@pytest.fixture(autouse=True)
def little_room(monkeypatch):
    monkeypatch.setattr(context, "EVENTS", 0)
    monkeypatch.setattr(context, "ROOM", 1)
    monkeypatch.setattr(context, "MOST_ROOM", 1)
    monkeypatch.setattr(requests_ahead, "FEWEST", 4)
    monkeypatch.setattr(requests_ahead, "MOST", 4)


def assert_there_is_room(scenario: Any, arrivals: Any, window_s: float) -> None:
    learned = made_up(scenario)
    ours = product(scenario, learned, arrivals, window_s, path=PlainPath("plain", ""))
    theirs = product(scenario, learned, arrivals, window_s)
    for mine, told in zip(ours, theirs, strict=True):
        assert differences(mine, told) == []


def written(*arrivals: tuple[float, int], **parts: Any) -> tuple[Any, Any]:
    fleet = parts.pop("fleet")
    scenario = scenario_of(fleet=tuple(fleet) if isinstance(fleet, list) else (fleet,), **parts)
    return scenario, WrittenArrivals(arrivals)


def a_full_batch() -> Any:
    """Eight answers at once, which clients heed."""
    fleet = devices(clients=8, timeout_s=5.0, latency=0.25, breaker={"failures": 1, "cooldown_s": 1.0})
    at = (1.0, 1.5, 4.0)
    return written(*((t, n) for t in at for n in range(8)), fleet=fleet, server=server(max_batch=8))


def devices_without_power() -> Any:
    """Closed loops whose devices fall silent, and ask in vain from then on."""
    device = {"idle_w": 1.0, "battery": {"capacity_j": 3.5}}
    process = {"kind": "closed_loop", "think": 0.5}
    return written(fleet=devices(clients=3, device=device, arrivals={"process": process}))


def batches_that_go_back() -> Any:
    rule = server(((1.5, 2), (2.5, 3), (3.5, 4)), replicas=3, max_batch=3, in_flight="requeue")
    return written(*((1.0 + 0.25 * n, 0) for n in range(12)), fleet=devices(), server=rule)


def an_autoscaler() -> Any:
    scaling = {"target_queue": 1.0, "interval_s": 0.5, "provisioning_s": 0.75, "min": 0, "max": 6}
    rule = server(((2.25, 2.75),), autoscaling=scaling, when_down="queue")
    return written(*((0.25 * n, 0) for n in range(12)), fleet=devices(), server=rule)


def links(discipline: str) -> Any:
    """Three of them, one behind the other."""
    names = ("a", "b", "c")
    network = tuple({"link": name, "bandwidth_bps": 8000.0, "discipline": discipline} for name in names)
    way = {"payload_bytes": 500, "over": names, "latency": 0.0}
    fleet = devices(clients=6) | {"link": way}
    return written(*((0.25 * n, n % 6) for n in range(12)), fleet=fleet, network=network)


def pipelines() -> Any:
    """Six of two stages, all full."""
    service = {"kind": "affine", "base_s": 3.0}
    rule = server(service=service, stages=2, replicas=6)
    return written(*((0.5, 0) for _ in range(24)), fleet=devices(), server=rule)


def hedges_and_parts() -> Any:
    options = ({"option": "near", "server": "edge", "device_s": 0.25}, {"option": "far", "server": "cloud"})
    servers = tuple(
        {"server": name, "service": {"kind": "affine", "base_s": 1.0}} for name in ("edge", "cloud")
    )
    fleet = group_of(
        clients=2,
        policy={"score": "random", "price": {"kind": "always_remote"}},
        choose="order",
        options=options,
        hedge={"after_s": 0.5},
        timeout_s=1.25,
        retry=retries(3, 0.25, next="other"),
    )
    return written(*((0.5 * n, n % 2) for n in range(10)), fleet=fleet, server=None, servers=servers)


@pytest.mark.parametrize("window_s", [60.0, 2.0])
@pytest.mark.parametrize(
    "world",
    [
        a_full_batch,
        devices_without_power,
        batches_that_go_back,
        an_autoscaler,
        lambda: links("fifo"),
        lambda: links("ps"),
        pipelines,
        hedges_and_parts,
    ],
)
def test_an_event_takes_no_more_room_than_was_asked_for(world, window_s):
    assert_there_is_room(*world(), window_s)


@tried(40)
@given(worlds() | several())
def test_no_event_of_any_world_takes_more_room_than_was_asked_for(world):
    scenario, arrivals, window_s = world
    assert_there_is_room(scenario, arrivals, window_s)
