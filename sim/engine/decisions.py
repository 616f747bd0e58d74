"""What becomes of requests at their devices: rows for those that arrive, decisions, and first attempts.
Array operations for whole windows; what `sim.engine.handlers.deciding` decides is only prepared here."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.engine.events import IN_FLIGHT, LOCAL, TIMED_OUT
from sim.engine.learning import Learning
from sim.engine.state import NEW_SEND, ROW_TYPES, SEND_TYPES, Columns, empty
from sim.policy.prices import Asked, asked, decide_all, explored, is_calibrated
from sim.policy.waiting import is_too_late, timer_of
from sim.registry.scores import SCORES
from sim.streams import Draws
from sim.world.options import Option
from sim.world.parameters import Parameters

Ids = NDArray[np.int64]


class Newer(NamedTuple):
    """What decisions of rows compare in place of what is known as they come, by rejectors that their clients
    may have by then; row, at_s: whose and from when on, (m,), by row and then by instant."""

    row: NDArray[np.int64]
    at_s: NDArray[np.float64]
    asked: Asked
    values: NDArray[np.float64]  # (m, scores)


class Undecided(NamedTuple):
    """Rows that are decided as they come, and what each decision compares; coin: of exploration. newer: where
    it is not known before how long their devices take."""

    row: NDArray[np.int64]
    asked: Asked
    values: NDArray[np.float64]  # (n, scores): the one that `asked` has, or that of each option
    coin: NDArray[np.float64]
    newer: Newer | None = None


def new_rows(
    parameters: Parameters,
    learning: Learning,
    request_id: Ids,
    client: NDArray[np.int32],
    at: NDArray[np.float64],
    decided: NDArray[np.float64],
) -> Columns:
    """Rows of requests that arrive; decided: when their devices are done with them."""
    new, group = empty(ROW_TYPES, len(client)), parameters.clients.group[client]
    new["request_id"], new["client"], new["arrived"], new["decided"] = request_id, client, at, decided
    new["sample"] = learning.traffic.samples(request_id, client, at)
    new["work"] = parameters.service_factor[group]
    new["deadline"] = at + np.array([p.deadline_s for p in parameters.patience])[group]
    new["server_version"][:], new["outcome"][:], new["completed_at"][:] = -1, IN_FLIGHT, np.nan
    new["threshold"][:], new["first_item"][:] = np.nan, -1
    return new


def decide_due(
    parameters: Parameters, learning: Learning, rows: Columns, due: NDArray[np.bool_], end: float = np.inf
) -> list[Undecided]:
    """Decides these rows where nothing that happens can change it; what is kept, or too late, is settled.

    Gives the others, whose clients decide as they come: of them only the score is known yet, and until `end`
    by which rejectors.
    """
    undecided, group = [], parameters.clients.group[rows["client"]]
    for g, policy in enumerate(parameters.policies):
        mine = np.flatnonzero(due & (group == g))
        if not len(mine):
            continue
        request_id, client = rows["request_id"][mine], rows["client"][mine]
        is_coming = rows["decided"][mine] == np.inf
        known_s = np.where(is_coming, rows["arrived"][mine], rows["decided"][mine])
        version = learning.schedule.rejectors.of(client, known_s)
        only, values = ask(parameters, learning, g, request_id, client, rows["sample"][mine], version)
        coin = coins(parameters, request_id)
        rows["score"][mine] = only.score
        if parameters.decided_in_loop[g]:
            newer = _newer(parameters, learning, g, rows, mine[is_coming], end)
            undecided.append(Undecided(mine, only, values, coin, newer))
            continue
        decisions = decide_all(only, coin, explored(policy, parameters.exploration))
        rows["server_version"][mine] = learning.schedule.server_version(rows["decided"][mine])
        rows["threshold"][mine], rows["propensity"][mine] = only.threshold, decisions.propensity
        rows["deferred"][mine] = decisions.deferred
    decided = due & ~parameters.decided_in_loop[group]
    local = decided & ~rows["deferred"]
    late = decided & rows["deferred"] & is_too_late(rows["decided"], rows["deadline"])
    for which, outcome in ((local, LOCAL), (late, TIMED_OUT)):
        rows["outcome"][which] = outcome
        rows["completed_at"][which] = rows["decided"][which]
    return undecided


def _newer(
    parameters: Parameters, learning: Learning, g: int, rows: Columns, coming: Ids, end: float
) -> Newer | None:
    """Of rows that come to their devices by rejectors that are in force for their clients after that."""
    held = learning.schedule.rejectors
    which, at_s, version = held.between(rows["client"][coming], rows["arrived"][coming], end)
    if not len(which):
        return None
    row = coming[which]
    request_id, client, sample = (rows[name][row] for name in ("request_id", "client", "sample"))
    return Newer(row, at_s, *ask(parameters, learning, g, request_id, client, sample, version))


def ask(
    parameters: Parameters,
    learning: Learning,
    g: int,
    request_id: Ids,
    client: NDArray[np.int32],
    sample: NDArray[np.int32],
    version: NDArray[np.int32],
) -> tuple[Asked, NDArray[np.float64]]:
    """Requests of one group as their price sees them, scored by the given versions of their rejectors: by one
    score, or by one of each option, float64 (n, scores), of which the largest is told. Scores are net of what
    an option costs more than others."""
    policy, bayes = parameters.policies[g], parameters.bayes[g]
    if learning.learned.tables.groups[g].score is None:
        score = Draws(parameters.seed, "score").many(request_id).astype(np.float32)[:, None]
    else:
        score = learning.models.score(g, version, learning.table_rows(g, client), sample)
    if is_calibrated(policy):
        versions = np.unique(version).tolist()
        curves = [(np.flatnonzero(version == one), learning.curve(g, one)) for one in versions]
        draw = Draws(parameters.seed, "price").many(request_id)
        found = asked(policy, score[:, 0], draw, curves, bayes[0])
        return found, found.value[:, None]
    more = np.array(parameters.surcharges[g][: score.shape[1]], dtype=np.float32)
    net = score - more if more.any() else score
    found = asked(policy, net[:, 0], bayes=bayes[0])
    if net.shape[1] == 1:
        return found, found.value[:, None]
    return replace(found, score=net.max(axis=1)), net.astype(np.float64)


def scores_of(parameters: Parameters, g: int) -> int:
    """How many scores decide for a group: one of each option, or one for all."""
    options = len(parameters.options[g])
    return options if SCORES[parameters.policies[g].score].is_per_option else 1


def coins(parameters: Parameters, request_id: Ids) -> NDArray[np.float64]:
    """The coins of exploration; 1, which explores nothing, where there is none."""
    if not parameters.exploration:
        return np.ones(len(request_id))
    return Draws(parameters.seed, "exploration").many(request_id)


def ways_of(
    parameters: Parameters, option: Option, client: NDArray[np.int32], at_s: NDArray[np.float64]
) -> NDArray[np.int64]:
    """The way of an option from the cell in which each client of its group is at its instant, (n,)."""
    ways = np.array(option.ways)
    if len(ways) == 1:
        return np.broadcast_to(ways, len(client))
    return ways[np.minimum(parameters.cells.of(client, at_s), len(ways) - 1)]


def first_sends(parameters: Parameters, rows: Columns, row: NDArray[np.int64]) -> Columns:
    """The first attempts of the given rows, sent at their decisions to the first of their options; whoever
    has several chooses then."""
    sends = empty(SEND_TYPES, len(row))
    request, sent = rows["request_id"][row], rows["decided"][row]
    group = parameters.clients.group[rows["client"][row]]
    sends["row"], sends["attempt"][:], sends["sent"] = row, 1, sent
    for g, patience in enumerate(parameters.patience):
        mine, option = group == g, parameters.options[g][0]
        sends["server"][mine] = option.server
        way = ways_of(parameters, option, rows["client"][row], sent)
        for number in set(option.ways):
            here, link = mine & (way == number), parameters.ways[g][number].link
            sends["reached"][here] = sent[here] + link.up_many(request[here])
            sends["downlink_s"][here] = link.down_many(request[here])
        sends["timeout_at"][mine] = timer_of(sent[mine], patience.timeout_s, rows["deadline"][row[mine]])
    for server, station in enumerate(parameters.stations):
        mine = sends["server"] == server
        sends["service_factor"][mine] = station.service.factor_many(request[mine])
    for name, nothing in NEW_SEND.items():
        sends[name][:] = nothing
    return sends
