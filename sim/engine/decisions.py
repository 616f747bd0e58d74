"""What becomes of requests at their devices: rows for those that arrive, decisions, and first sends.
Array operations, for whole chunks in `sim.engine.chunk`; `sim.engine.asking` tells the same of one
request."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.engine.learning import Learning
from sim.engine.state import NEW_SEND, ROW_TYPES, SEND_TYPES, Columns, State, empty, take
from sim.policy.controllers import walk
from sim.policy.prices import Asked, Curves, Decisions, asked, at_price, decide, explore, is_calibrated
from sim.results.columns import OUTCOMES
from sim.streams import Draws
from sim.world.parameters import Rules

LOCAL, TIMED_OUT, IN_FLIGHT = (OUTCOMES.index(outcome) for outcome in ("local", "timed_out", "in_flight"))


def new_rows(
    rules: Rules,
    learning: Learning,
    request_id: NDArray[np.int64],
    client: NDArray[np.int32],
    at: NDArray[np.float64],
    decided: NDArray[np.float64],
) -> Columns:
    """Rows of requests that arrive; decided: when their devices are done with them."""
    new = empty(ROW_TYPES, len(client))
    new["request_id"], new["client"], new["arrived"], new["decided"] = request_id, client, at, decided
    new["sample"] = learning.traffic.samples(request_id, client, at)
    new["deadline"] = at + np.array([p.deadline_s for p in rules.patience])[rules.clients.group[client]]
    new["window"][:], new["outcome"][:], new["resolved"][:] = -1, IN_FLIGHT, np.nan
    return new


def decide_due(rules: Rules, learning: Learning, state: State, rows: Columns, due: NDArray[np.bool_]) -> None:
    """Decides these rows, in the order of their requests; what is kept, or too late, is settled by that.

    Where replies count, only the score is known yet: `sim.engine.at_clients` decides. state: what prices
    remember.
    """
    group = rules.clients.group[rows["client"]]
    rows["window"][due] = learning.schedule.server_version(rows["decided"][due])
    for g in range(len(rules.policies)):
        mine = np.flatnonzero(due & (group == g))
        if not len(mine):
            continue
        found = take(rows, mine)
        if rules.reacts[g]:
            rows["score"][mine] = _scores(rules, learning, found, g)[0]
            continue
        decisions = _decide(rules, learning, state, found, g)
        rows["score"][mine], rows["propensity"][mine] = decisions.score, decisions.propensity
        rows["deferred"][mine] = decisions.deferred
    decided = due & ~rules.reacts[group]
    local = decided & ~rows["deferred"]
    late = decided & rows["deferred"] & (rows["decided"] >= rows["deadline"])
    for which, outcome in ((local, LOCAL), (late, TIMED_OUT)):
        rows["outcome"][which] = outcome
        rows["resolved"][which] = rows["decided"][which]


def first_sends(rules: Rules, rows: Columns, row: NDArray[np.int64]) -> Columns:
    """The first attempts of the given rows, sent at their decisions."""
    sends = empty(SEND_TYPES, len(row))
    request, sent = rows["request_id"][row], rows["decided"][row]
    group = rules.clients.group[rows["client"][row]]
    sends["row"], sends["attempt"][:], sends["sent"] = row, 1, sent
    for g, patience in enumerate(rules.patience):
        mine = group == g
        sends["reached"][mine] = sent[mine] + patience.link.up_many(request[mine])
        sends["down"][mine] = patience.link.down.many(request[mine])
        sends["timer"][mine] = sent[mine] + patience.timeout_s
    sends["timer"] = np.minimum(sends["timer"], rows["deadline"][row])
    sends["factor"] = rules.service.factor_many(request)
    for name, nothing in NEW_SEND.items():
        sends[name][:] = nothing
    return sends


def _decide(rules: Rules, learning: Learning, state: State, rows: Columns, g: int) -> Decisions:
    """What a group that need not hear replies makes of its requests."""
    policy, remembers, request_id = rules.policies[g], rules.prices[g], rows["request_id"]
    requests, curves = _asked(rules, learning, rows, g)
    lucky = np.zeros(0) if not rules.exploration else Draws(rules.seed, "exploration").many(request_id)
    if remembers is None:
        decisions = decide(policy, requests, curves, rules.bayes[g])
    else:
        anyhow = lucky < rules.exploration if len(lucky) else np.zeros(len(request_id), dtype=bool)
        decisions = at_price(
            requests,
            walk(remembers, state.memory, rows["client"], rows["decided"], requests.value, anyhow),
        )
    return explore(policy, decisions, rules.exploration, lucky) if len(lucky) else decisions


def _asked(rules: Rules, learning: Learning, rows: Columns, g: int) -> tuple[Asked, Curves]:
    """The requests as their price sees them, and the curves of the versions that they are decided by."""
    policy = rules.policies[g]
    score, version = _scores(rules, learning, rows, g)
    if not is_calibrated(policy):
        return asked(policy, score), ()
    curves = [(np.flatnonzero(version == one), learning.curve(g, one)) for one in np.unique(version).tolist()]
    return asked(policy, score, Draws(rules.seed, "price").many(rows["request_id"]), curves), curves


def _scores(
    rules: Rules, learning: Learning, rows: Columns, g: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """The scores of requests of one group, by the rejectors in force for their clients at the decisions, and
    the versions of those."""
    client = rows["client"]
    version = learning.schedule.rejectors.of(client, rows["decided"])
    table = learning.learned.tables.groups[g].score
    if table is None:
        return Draws(rules.seed, "score").many(rows["request_id"]).astype(np.float32), version
    row = learning.table_rows(g, client)
    return learning.models.score(g, version, row, rows["sample"]), version
