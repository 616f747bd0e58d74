"""Random small scenarios in which clients work through sessions, beside groups that do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from strategies import budgets, durations, groups, outages, seldom, spans, stations, written
from worlds import WrittenArrivals, made_up, scenario_of

from sim.messages import Learned
from sim.scenario import Scenario


@st.composite
def session_worlds(draw: st.DrawFn) -> tuple[Scenario, Learned, WrittenArrivals, float]:
    """A scenario, tables in which client and server mostly agree, arrivals and the length of a chunk."""
    lattice = draw(st.booleans())
    horizon = draw(st.sampled_from([6.0, 12.0, 25.0]))
    fleet = [draw(groups(f"g{g}", lattice)) for g in range(draw(st.integers(1, 3)))]
    for number, group in enumerate(fleet):
        if number == 0 or draw(st.booleans()):
            draw(in_sessions(group, lattice))
    pot = draw(seldom(budgets(lattice, "fleet")))
    if pot:
        fleet = [group | ({"budget": pot} if draw(st.booleans()) else {}) for group in fleet]
    server = draw(stations(lattice))
    if draw(st.booleans()):
        server["outages"] = draw(outages(server["replicas"], len(fleet), horizon, lattice))
    if draw(st.booleans()):
        server |= {"admission": {"kind": "none"}, "queue_limit": None}
    scenario = scenario_of(
        seed=draw(st.integers(0, 99)),
        horizon_s=horizon,
        fleet=tuple(fleet),
        server=server,
        costs={"charge_on": draw(st.sampled_from(["send", "accept", "answer"]))},
    )
    learned = agreeing(scenario, draw(st.sampled_from([0.0, 0.5, 0.8, 0.8, 1.0])), draw(st.integers(0, 9)))
    return scenario, learned, draw(written(scenario, lattice)), draw(st.sampled_from([2.0, 7.25, 60.0]))


def agreeing(scenario: Scenario, share: float, seed: int = 0, samples: int = 40) -> Learned:
    """Tables in which clients' models answer a sample as the server does with a probability of `share`."""
    learned, draw = made_up(scenario, samples), np.random.default_rng(seed)
    server = np.atleast_2d(learned.tables.server_label)[0]
    tables = []
    for table in learned.tables.groups:
        other = (server + draw.integers(1, 10, table.client_label.shape)) % 10
        same = draw.random(table.client_label.shape) < share
        tables.append(replace(table, client_label=np.where(same, server, other).astype(np.int16)))
    return replace(learned, tables=replace(learned.tables, groups=tuple(tables)))


@st.composite
def in_sessions(draw: st.DrawFn, group: dict[str, Any], lattice: bool) -> None:
    """Makes the requests of a group blocks of sessions, and leaves out what may not be beside these."""
    gamma = draw(st.sampled_from([0, 1, 2, 2, 3, 5]))
    group["session"] = {
        "items": draw(st.integers(1, 12)),
        "draft": gamma,
        "backlog": draw(st.none() | st.integers(gamma, 12)),
        "again_s": draw(spans(lattice, 1, 6)),
    }
    group["arrivals"] = {"process": {"kind": "closed_loop", "think": draw(durations(lattice, 1, 8))}}
    kinds = ["always_remote"] * 5 + ["always_local"] * (gamma > 0)
    group["policy"] = group["policy"] | {"price": {"kind": draw(st.sampled_from(kinds))}}
    group |= {"fallback": "client", "provisional_after_s": None}
    group["traffic"] = group["traffic"] | {"drift": ()}
    group["device"] |= {"inference_j": 0.0, "idle_w": 0.0, "battery": None, "batch": None}
    if draw(st.integers(0, 3)):  # else most of them would be cut off most of the time
        group |= {"breaker": None, "budget": None, "timeout_s": None, "deadline_s": None}
    group["link"] |= {"tx_w": 0.0, "rx_w": 0.0, "over": ()}
