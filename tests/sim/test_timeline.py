"""The time line against a count second by second, and its law against sends that were tampered with."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import floor, inf, isnan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from strategies import worlds
from tried import tried
from worlds import MadeUpLearner, WrittenArrivals, group_of, made_up, scenario_of

import sim.engine.window
from sim.engine.learning import Learning
from sim.engine.run import Run
from sim.engine.simpy_clock import SimPyClock
from sim.engine.state import at_start
from sim.engine.window import run_window
from sim.errors import RunFailed
from sim.results.columns import CAUSES, TIMELINE
from sim.results.timeline import observe
from sim.scenario import Scenario
from sim.world.versions import Versions
from sim.world.world import World


@dataclass(frozen=True)
class Seen:
    """A send at the server: when it joined the queue and left it, when its service began and stopped."""

    joined: float
    left: float
    began: float
    stopped: float
    replica: int


def play(scenario: Scenario, arrivals: WrittenArrivals, chunk_s: float):
    """The rows of the time line by chunk, and all rows and sends that ended, as plain records; and when what
    was learned came into force."""
    learned, laid_down = made_up(scenario), World(scenario).parameters
    learning = Learning(World(scenario), learned, MadeUpLearner(scenario, learned))
    state = at_start(World(scenario))
    chunks, arrived, sends = [], [], []
    for index in range(int(np.ceil(scenario.horizon_s / chunk_s))):
        start, end = index * chunk_s, min((index + 1) * chunk_s, scenario.horizon_s)
        drawn, last = arrivals.draw(index, start, end), end == scenario.horizon_s
        clock = SimPyClock(laid_down)
        ended, rows, _ = run_window(laid_down, learning, state, drawn, start, end, last, clock)
        chunks.append((start, end, rows))
        arrived += ended.rows["arrived"].tolist()  # with closed loops more than was drawn
        names = list(ended.sends)
        sends += [
            dict(zip(names, one, strict=True))
            for one in zip(*(column.tolist() for column in ended.sends.values()), strict=True)
        ]
    return chunks, arrived, sends, learning.schedule


def at_server(sends: list[dict[str, Any]], horizon: float) -> list[Seen]:
    """What was accepted; a lost one left the queue or its replica when it was over."""
    found = []
    for send in sends:
        cause = CAUSES[send["cause"]]
        is_shed = not isnan(send["shed"])
        if not send["reached"] < horizon or (cause in ("down", "queue_full", "admission") and not is_shed):
            continue
        lost_at = send["shed"] if is_shed else send["closed_at"] if cause in ("lost", "expired") else inf
        began = inf if isnan(send["started"]) else send["started"]
        finished = inf if isnan(send["finished"]) else send["finished"]
        found.append(
            Seen(send["reached"], min(began, lost_at), began, min(finished, lost_at), send["replica"])
        )
    return found


def overlap(begin: float, end: float, low: float, high: float) -> float:
    return max(0.0, min(end, high) - max(begin, low))


@tried(80)
@given(worlds())
def test_every_column_equals_a_count_second_by_second(world):
    """Of worlds in which a send is in the queue once, and replicas are known beforehand."""
    scenario, arrivals, chunk_s = world
    plain = {"autoscaling": None}
    if scenario.server.in_flight in ("requeue", "resume", "restart"):
        plain["in_flight"] = "finish"
    scenario = scenario.model_copy(update={"server": scenario.server.model_copy(update=plain)})
    chunks, arrived, sends, plan = play(scenario, arrivals, chunk_s)
    seen = at_server(sends, scenario.horizon_s)
    follow = np.flatnonzero(plan.follows).tolist()
    stages = scenario.server.stages
    busy = {(one.began, one.stopped, one.replica) for one in seen if one.began < inf}
    for start, end, rows in chunks:
        assert set(rows) == set(TIMELINE.names)
        seconds = [start, *range(floor(start) + 1, int(np.ceil(end)))]
        assert rows["at_s"].tolist() == seconds
        for n, (low, high) in enumerate(zip(seconds, [*seconds[1:], end], strict=True)):
            width = high - low
            assert rows["waiting"][n] == sum(one.joined < low <= one.left for one in seen)
            assert rows["in_service"][n] == sum(one.began < low <= one.stopped for one in seen)
            waits = sum(overlap(one.joined, one.left, low, high) for one in seen)
            assert rows["waiting_mean"][n] == pytest.approx(waits / width, abs=1e-8)
            instants = [low, *(one.joined for one in seen if low <= one.joined < high)]
            most = max(sum(one.joined <= t < one.left for one in seen) for t in instants)
            assert rows["waiting_max"][n] == most
            works = sum(overlap(begin, end, low, high) for begin, end, _ in busy)
            assert rows["busy_replicas_mean"][n] == pytest.approx(works / width / stages, abs=1e-8)
            usable = usable_seconds(scenario, low, high)
            assert rows["usable_replicas_mean"][n] == pytest.approx(usable / width, abs=1e-9)
            assert rows["arrivals"][n] == sum(low <= at < high for at in arrived)
            sent = [send["attempt"] for send in sends if low <= send["sent"] < high]
            assert rows["first_sends"][n] == sent.count(1)
            assert rows["retries"][n] == len(sent) - sent.count(1)
            newest = (plan.in_force_at_s < low).sum() - 1
            assert rows["server_version"][n] == newest
            for name, held in (("copy_staleness", plan.copies), ("rejector_staleness", plan.rejectors)):
                behind = [newest - held_before(held, client, low) for client in follow]
                assert rows[name][n] == pytest.approx(np.mean(behind) if behind else 0.0, abs=1e-9)


def held_before(held: Versions, client: int, at_s: float) -> int:
    """A client's version just before an instant."""
    mine = slice(held.first[client], held.first[client + 1])
    return int(held.version[mine][held.at_s[mine] < at_s][-1])


def usable_seconds(scenario: Scenario, low: float, high: float) -> float:
    """Replica-seconds, added up replica by replica over the pieces between all edges."""
    periods, replicas = World(scenario).intervals, scenario.server.replicas
    cuts = sorted({low, high, *(t for p in periods for t in (p.from_s, p.until_s) if low < t < high)})
    total = 0.0
    for begin, end in pairwise(cuts):
        middle = (begin + end) / 2
        down = sum(p.takes for p in periods if p.from_s <= middle < p.until_s)
        total += max(0, replicas - down) * (end - begin)
    return total


def test_an_hour_glass_of_one_replica():
    """One second of service; two arrive at 0.5 and one at 2.0, nothing else happens.

    In service 0.5-1.5, 1.5-2.5, 2.5-3.5; waiting: the second 0.5-1.5, the third 2.0-2.5.
    """
    scenario = scenario_of(horizon_s=4.0)
    ((_, _, rows),), *_ = play(scenario, WrittenArrivals(((0.5, 0), (0.5, 0), (2.0, 0))), 60.0)
    assert {name: column.tolist() for name, column in rows.items()} == {
        "at_s": [0.0, 1.0, 2.0, 3.0],
        "waiting": [0, 1, 0, 0],
        "in_service": [0, 1, 1, 1],
        "waiting_mean": [0.5, 0.5, 0.5, 0.0],
        "waiting_max": [1, 1, 1, 0],
        "busy_replicas_mean": [0.5, 1.0, 1.0, 0.5],
        "usable_replicas_mean": [1.0] * 4,
        "requeued_s": [0.0] * 4,
        "arrivals": [2, 0, 1, 0],
        "first_sends": [2, 0, 1, 0],
        "retries": [0] * 4,
        "server_version": [0] * 4,
        "copy_staleness": [0.0] * 4,
        "rejector_staleness": [0.0] * 4,
    }


def test_work_that_is_stopped_and_put_back_is_told_at_the_stop():
    """A batch of two started at 0.5 and stopped at 2.25, another of one at 1.0; both begin again at 3.0."""
    outage = {"when": {"kind": "intervals", "at": ((2.25, 3.0),)}}
    service = {"kind": "affine", "base_s": 4.0}
    server = {"service": service, "replicas": 2, "max_batch": 2, "batch_wait_s": 0.25}
    server |= {"in_flight": "requeue", "outages": (outage,)}
    scenario = scenario_of(horizon_s=9.0, server=server)
    ((_, _, rows),), *_ = play(scenario, WrittenArrivals(((0.5, 0), (0.5, 0), (0.75, 0))), 60.0)
    assert rows["requeued_s"].tolist() == [0, 0, 1.75 + 1.25, 0, 0, 0, 0, 0, 0]
    assert rows["busy_replicas_mean"].tolist() == [0.5, 2.0, 0.5, 2.0, 2.0, 2.0, 2.0, 0, 0]


def test_work_that_is_put_back_is_told_of_its_own_server():
    """Half a second of it, at the second of two servers."""
    service = {"kind": "affine", "base_s": 1.0}
    outage = {"when": {"kind": "intervals", "at": ((1.5, 3.0),)}}
    busy = {"server": "busy", "service": service, "in_flight": "requeue", "outages": (outage,)}
    fleet = (group_of(options=({"option": "it", "server": "busy"},)),)
    servers = ({"server": "idle", "service": service}, busy)
    scenario = scenario_of(horizon_s=4.0, server=None, servers=servers, fleet=fleet)
    told = Run(World(scenario), made_up(scenario), WrittenArrivals(((1.0, 0),))).advance().of_servers
    assert told["requeued_s"].reshape(-1, 2).tolist() == [[0, 0], [0, 0.5], [0, 0], [0, 0]]


@pytest.mark.parametrize(("in_flight", "again"), [("resume", 0.0), ("restart", 0.75)])
@pytest.mark.parametrize("chunk_s", [1.0, 60.0])
def test_a_batch_that_stands_still_is_in_service_and_keeps_nobody_busy(in_flight, again, chunk_s):
    """Two seconds from 0.5 on, stopped in [1.25, 3.5): it goes on until 4.75, or starts over until 5.5."""
    outage = {"when": {"kind": "intervals", "at": ((1.25, 3.5),)}}
    server = {"service": {"kind": "affine", "base_s": 2.0}, "in_flight": in_flight, "outages": (outage,)}
    scenario = scenario_of(horizon_s=6.0, server=server)
    chunks, *_ = play(scenario, WrittenArrivals(((0.5, 0),)), chunk_s)
    rows = {name: [n for _, _, part in chunks for n in part[name].tolist()] for name in chunks[0][2]}
    assert rows["busy_replicas_mean"] == [0.5, 0.25, 0.0, 0.5, *([0.75, 0.0] if not again else [1.0, 0.5])]
    assert rows["in_service"] == [0, 1, 1, 1, 1, int(again > 0)]
    assert rows["requeued_s"] == [0.0, again, 0.0, 0.0, 0.0, 0.0]


def test_a_batch_that_stands_still_beside_what_is_told_fails_the_run(monkeypatch):
    def tampered(state, played, start, end):
        state.stations[0].left[0] = 1.0
        return observe(state, played, start, end)

    monkeypatch.setattr(sim.engine.window, "observe", tampered)
    with pytest.raises(RunFailed, match=r"batches stand still on replicas \[0\] at 4\.0 s, not 0 stopped"):
        play(scenario_of(horizon_s=4.0), WrittenArrivals(((1.0, 0),)), 4.0)


@pytest.mark.parametrize(
    ("of", "column", "value", "complaint"),
    [
        ("waiting", "started", 2.5, "1 requests are waiting at 4.0 s, but 0 have not left"),
        ("waiting", "closed_at", 3.5, "1 requests are waiting at 4.0 s, but 0 have not left"),
        ("waiting", "cause", CAUSES.index("queue_full"), "1 requests are waiting at 4.0 s, but 0"),
        ("waiting", "reached", 9.0, "1 requests are waiting at 4.0 s, but 0 have not left"),
        ("served", "started", np.nan, "1 requests are waiting at 4.0 s, but 2 have not left"),
        ("served", "finished", 3.5, "1 requests are in service at 4.0 s, but 0 have not left"),
        ("served", "closed_at", 3.5, "1 requests are in service at 4.0 s, but 0 have not left"),
    ],
)
def test_a_send_that_was_tampered_with_fails_the_run(monkeypatch, of, column, value, complaint):
    """One is in service and one waits at 4 s, when the chunk ends."""

    def tampered(state, played, start, end):
        send = state.stations[0].waiting[0] if of == "waiting" else state.stations[0].batch_of[0][0]
        state.sends = {name: values.copy() for name, values in state.sends.items()}
        state.sends[column][send] = value
        return observe(state, played, start, end)

    monkeypatch.setattr(sim.engine.window, "observe", tampered)
    service = {"kind": "affine", "base_s": 10.0}
    scenario = scenario_of(horizon_s=8.0, fleet=(group_of(clients=2),), server={"service": service})
    with pytest.raises(RunFailed, match=complaint):
        play(scenario, WrittenArrivals(((1.0, 0), (2.0, 1))), 4.0)


@pytest.mark.parametrize(("column", "value", "stays"), [("finished", 2.5, "1.5"), ("reached", 0.75, "1.25")])
def test_a_stay_of_another_length_than_the_loop_counted_fails_the_run(monkeypatch, column, value, stays):
    """In the server from 1.0 to 2.0: the loop counts one request for one second, as it comes and goes."""

    def tampered(state, played, start, end):
        state.sends = {name: values.copy() for name, values in state.sends.items()}
        state.sends[column][0] = value
        return observe(state, played, start, end)

    monkeypatch.setattr(sim.engine.window, "observe", tampered)
    with pytest.raises(RunFailed, match=rf"the integral of N\(t\) is 1\.0 s, the sum of the stays {stays} s"):
        play(scenario_of(horizon_s=4.0), WrittenArrivals(((1.0, 0),)), 4.0)
