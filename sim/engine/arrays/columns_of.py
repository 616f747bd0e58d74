"""The columns of one stretch, filled from the state and from what was learned.
Parts of `sim.engine.arrays.context`, which keeps them together."""

from __future__ import annotations

from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine.arrays.layout import Asked, Lists, Newer, Replicas
from sim.engine.arrays.parameters import Labels, VersionsHeld
from sim.engine.arrays.room import heap_of
from sim.engine.clock import Stretch
from sim.engine.learning import Learning
from sim.engine.state import State
from sim.registry.disciplines import DISCIPLINES
from sim.world.parameters import Parameters
from sim.world.stations import Station
from sim.world.versions import Versions


def lists_of(n: int, clients: int, parameters: Parameters) -> Lists:
    """clients: how many have lines of their own, of all servers together."""
    after, before, listed = (np.empty(n, dtype=np.int64) for _ in range(3))
    kinds = [DISCIPLINES[one.discipline] for one in parameters.stations]
    room = max(n, parameters.clients.size if clients else 0) if any(kind.has_line for kind in kinds) else 0
    behind, last_of = np.empty(n, dtype=np.int64), np.empty(clients, dtype=np.int64)
    first_of, line = np.full(clients, -1, dtype=np.int64), heap_of(len(kinds), room)
    return Lists(after, before, np.zeros(n, dtype=bool), line, listed, behind, first_of, last_of)


def asked_of(scores: int, stretch: Stretch, rows: int) -> Asked:
    """What is compared by the decisions that are taken as requests come."""
    found = Asked(np.zeros((rows, scores)), *(np.zeros(rows) for _ in Asked._fields[1:]))
    for one in stretch.undecided:
        first, end = int(one.row[0]), int(one.row[-1]) + 1
        here = slice(first, end) if end - first == len(one.row) else one.row  # ascending
        found.coin[here] = one.coin
        found.value[here, : one.values.shape[1]], found.threshold[here] = one.values, one.asked.threshold
        found.low[here], found.high[here] = one.asked.low, one.asked.high
    return found


def newer_of(scores: int, stretch: Stretch, rows: int) -> Newer:
    """What decisions of rows compare that may be taken by newer rejectors than those of when they come."""
    parts = [one.newer for one in stretch.undecided if one.newer is not None]
    m = sum(len(one.row) for one in parts)
    row, at_s = np.empty(m, dtype=np.int64), np.empty(m)
    score, value = np.empty(m, dtype=np.float32), np.zeros((m, scores))
    low, high, threshold = np.zeros(m), np.zeros(m), np.zeros(m)
    first = 0
    for one in parts:
        here = slice(first, first + len(one.row))
        row[here], at_s[here] = one.row, one.at_s
        score[here], value[here, : one.values.shape[1]] = one.asked.score, one.values
        low[here], high[here], threshold[here] = one.asked.low, one.asked.high, one.asked.threshold
        first = here.stop
    order = np.lexsort((at_s, row))
    begins = np.searchsorted(row[order], np.arange(rows + 1 if m else 0)).astype(np.int64)
    in_order: Any = (column[order] for column in (at_s, score, value, low, high, threshold))
    return Newer(begins, *in_order)


def replicas_of(state: State) -> Replicas:
    batches = [batch for server in state.stations for batch in server.batch_of]
    n, room = len(batches), [len(server.batch_of) for server in state.stations]
    return Replicas(
        head=np.array([batch[0] if batch else -1 for batch in batches], dtype=np.int64),
        size=np.array([len(batch) for batch in batches], dtype=np.int64),
        ends=np.concatenate([np.array(server.ends, dtype=np.float64) for server in state.stations]),
        since=np.concatenate([np.array(server.since, dtype=np.float64) for server in state.stations]),
        left=np.concatenate([np.array(server.left, dtype=np.float64) for server in state.stations]),
        warm_until=np.concatenate(
            [np.array(server.warm_until, dtype=np.float64) for server in state.stations]
        ),
        is_idle=np.zeros(n, dtype=bool),
        lost=np.zeros(n, dtype=np.int64),
        server=np.repeat(np.arange(len(room)), room),
        order=np.empty(n, dtype=np.int64),
        cleared=np.concatenate([np.array(server.cleared, dtype=np.float64) for server in state.stations]),
    )


def coming_of(parameters: Parameters, state: State) -> NDArray[np.float64]:
    """When ordered replicas are there, with room for all that each autoscaler may order."""
    room = [np.zeros(rule.autoscaling.max if rule.autoscaling else 0) for rule in parameters.stations]
    for of_server, server in zip(room, state.stations, strict=True):
        of_server[: len(server.scaling.coming)] = server.scaling.coming
    return np.concatenate(room)


def wanted_of(parameters: Parameters, state: State) -> NDArray[np.int64]:
    """What each autoscaler wanted at the ticks that it remembers, the last of them behind."""
    room = [np.full(ticks_remembered(rule), -1) for rule in parameters.stations]
    for of_server, server in zip(room, state.stations, strict=True):
        if server.scaling.wanted:
            of_server[:] = server.scaling.wanted
    return np.concatenate(room)


def ticks_remembered(rule: Station) -> int:
    """The ticks within `stabilise_s`, this one included; none without an autoscaler."""
    scaling = rule.autoscaling
    return 1 + floor(scaling.stabilise_s / scaling.interval_s + 1e-9) if scaling else 0


def labels_of(parameters: Parameters, learning: Learning) -> Labels:
    """What the models answer; of clients only where their price moves."""
    first, found, tables = [], [np.zeros(0, dtype=np.int16)], learning.learned.tables.groups
    for price, table in zip(parameters.prices, tables, strict=True):
        first.append(sum(map(len, found)))
        if price:
            found.append(table.client_label.reshape(-1))
    return Labels(
        server=learning.models.server_label.reshape(-1),
        in_force_at_s=learning.schedule.in_force_at_s,
        client=np.concatenate(found),
        first=np.array(first, dtype=np.int64),
        variant=parameters.clients.variant,
    )


def work_of(learning: Learning) -> NDArray[np.float64]:
    """What the service time of each model and sample is multiplied by; nothing where all are alike."""
    samples, of_models = learning.learned.samples, learning.work
    if samples.work is None and np.all(of_models == 1.0):
        return np.zeros(0)
    work = np.ones(len(samples.label)) if samples.work is None else samples.work
    return (of_models[:, None] * np.atleast_2d(work)).reshape(-1)


def held_by_clients(found: Versions) -> VersionsHeld:
    return VersionsHeld(found.first.astype(np.int64, copy=False), found.at_s, found.version)


def together_of(parameters: Parameters) -> dict[str, Any]:
    """Per client what waits to be sent with others, and what it asked together with others; the walk finds
    both from the state as it begins. Empty where nobody does."""
    anybody = parameters.most_batched > 0 or parameters.most_at_once > 1
    n = parameters.clients.size if anybody else 0
    return {name: np.zeros(n, dtype=np.int64) for name in ("held", "first_held", "last_held", "unsettled")}
