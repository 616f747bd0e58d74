"""One request of a closed loop as plain numbers: its row with the decision, if that is due.
Equal to the last bit to what `sim.engine.decisions` makes of it, at a fraction of what arrays of length one
cost."""

from __future__ import annotations

from collections.abc import Callable
from math import nan
from typing import Any

import numpy as np

from sim.engine.decisions import IN_FLIGHT, LOCAL, TIMED_OUT, decide_due, new_rows
from sim.engine.learning import Learning
from sim.engine.state import State
from sim.policy.prices import asked, decide, fixed_price
from sim.scenario.schema.fleet import AlwaysLocal, AlwaysRemote, Threshold
from sim.streams import Draws
from sim.world.parameters import Rules

Row = dict[str, Any]  # the values of a row, by the names of `sim.engine.state.ROW_TYPES`
Asking = Callable[[int, int, float, float, bool], Row]


def asking(rules: Rules, learning: Learning, state: State) -> Asking:
    """`ask(request_id, client, now, decided, is_due)`: the row of a request that arrives now.

    decided: when its device is done with it; is_due: whether that is so soon that it is decided at once.
    state: what prices remember.
    """
    group_of, first = rules.clients.group.tolist(), rules.clients.first
    deciding = [_deciding(rules, learning, g) for g in range(len(rules.policies))]
    deadline_s = [patience.deadline_s for patience in rules.patience]
    sample, plan = learning.traffic.one, learning.schedule

    def ask(request_id: int, client: int, now: float, decided: float, is_due: bool) -> Row:
        g = group_of[client]
        decides = deciding[g]
        if decides is None:
            return in_arrays(request_id, client, now, decided, is_due)
        row: Row = {
            "request_id": request_id,
            "client": client,
            "sample": sample(request_id, g, client - first[g], now),
            "arrived": now,
            "decided": decided,
            "deadline": now + deadline_s[g],
            "window": -1,
            "score": 0.0,
            "propensity": 0.0,
            "deferred": False,
            "outcome": IN_FLIGHT,
            "resolved": nan,
        }
        if not is_due:
            return row
        row["window"] = plan.server_version_one(decided)
        row["score"], row["propensity"], row["deferred"] = decides(request_id, client, row["sample"], decided)
        if not row["deferred"] or decided >= row["deadline"]:
            row["outcome"] = TIMED_OUT if row["deferred"] else LOCAL
            row["resolved"] = decided
        return row

    def in_arrays(request_id: int, client: int, now: float, decided: float, is_due: bool) -> Row:
        times = np.array([now]), np.array([decided])
        one = new_rows(rules, learning, np.array([request_id]), np.array([client]), *times)
        if is_due:
            decide_due(rules, learning, state, one, np.array([True]))
        return {name: column[0].item() for name, column in one.items()}

    return ask


Deciding = Callable[[int, int, int, float], tuple[float, float, bool]]


def _deciding(rules: Rules, learning: Learning, g: int) -> Deciding | None:
    """Score, P(sent) and whether it is sent, of a request of this group; None unless its price is fixed and
    nothing is explored."""
    policy, scores = rules.policies[g], learning.learned.tables.groups[g].score
    if not isinstance(policy.price, Threshold | AlwaysLocal | AlwaysRemote) or rules.exploration:
        return None
    price, draws = fixed_price(policy), Draws(rules.seed, "score")
    first, variant = rules.clients.first[g], rules.clients.variant
    is_personal = scores is not None and len(scores) == np.count_nonzero(rules.clients.group == g)
    by_chance = float(decide(policy, asked(policy, np.zeros(1, dtype=np.float32))).propensity[0])

    def by_draw(request_id: int, _client: int, _sample: int, _decided: float) -> tuple[float, float, bool]:
        score = float(np.float32(draws.one(request_id)))
        return score, by_chance, score > price

    def by_table(_request_id: int, client: int, sample: int, decided: float) -> tuple[float, float, bool]:
        version = learning.schedule.rejectors.one(client, decided)
        row = client - first if is_personal else variant[client]
        score = float(learning.models.scores[g][version][row, sample])  # type: ignore[index]
        return score, float(score > price), score > price

    return by_draw if scores is None else by_table
