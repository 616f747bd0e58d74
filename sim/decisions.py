"""What becomes of requests at their devices: rows for those that arrive, decisions, and first sends.
Array operations, for whole chunks in `sim.chunk`; `sim.asking` tells the same of one request."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.columns import OUTCOMES
from sim.learning import Learning
from sim.prices import decide, explore
from sim.rules import Rules
from sim.state import NEW_SEND, ROW_TYPES, SEND_TYPES, Columns, empty, take
from sim.streams import Draws

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


def decide_due(rules: Rules, learning: Learning, rows: Columns, due: NDArray[np.bool_]) -> None:
    """Decides these rows; what is kept, or too late to be sent, is settled by that."""
    group = rules.clients.group[rows["client"]]
    rows["window"][due] = learning.schedule.server_version(rows["decided"][due])
    for g, policy in enumerate(rules.policies):
        mine = np.flatnonzero(due & (group == g))
        asked = take(rows, mine)
        decisions = decide(policy, _scores(rules, learning, asked, g))
        if learning.exploration:
            draw = Draws(rules.seed, "exploration").many(asked["request_id"])
            decisions = explore(policy, decisions, learning.exploration, draw)
        rows["score"][mine], rows["propensity"][mine] = decisions.score, decisions.propensity
        rows["deferred"][mine] = decisions.deferred
    local = due & ~rows["deferred"]
    late = due & rows["deferred"] & (rows["decided"] >= rows["deadline"])
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


def _scores(rules: Rules, learning: Learning, rows: Columns, g: int) -> NDArray[np.float32]:
    """The scores of requests of one group, by the rejectors in force for their clients at the decisions."""
    table = learning.learned.tables.groups[g].score
    if table is None:
        return Draws(rules.seed, "score").many(rows["request_id"]).astype(np.float32)
    client = rows["client"]
    personal = len(table) == np.count_nonzero(rules.clients.group == g)
    row = client - rules.clients.first[g] if personal else rules.clients.variant[client]
    version = learning.schedule.rejectors.of(client, rows["decided"])
    return learning.models.score(g, version, row, rows["sample"])
