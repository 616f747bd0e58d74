"""One chunk of virtual time, [start, end): who arrives, what is decided, what ends.
Array operations before and after `sim.loop.play`, which alone knows what happens at the server."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.agenda import agenda
from sim.arrivals import Arrivals
from sim.columns import OUTCOMES
from sim.devices import done_at
from sim.learning import Learning
from sim.loop import Played, play
from sim.population import CLIENT_SHIFT
from sim.prices import decide, explore
from sim.rules import Rules
from sim.state import NEW_SEND, ROW_TYPES, SEND_TYPES, Columns, Ended, State, empty, join, take
from sim.streams import Draws
from sim.timeline import observe

_LOCAL, _REMOTE, _TIMED_OUT, _IN_FLIGHT = (
    OUTCOMES.index(outcome) for outcome in ("local", "remote", "timed_out", "in_flight")
)


def run_chunk(
    rules: Rules, learning: Learning, state: State, arrivals: Arrivals, start: float, end: float, last: bool
) -> tuple[Ended, Columns]:
    """Advances `state` from `start` to `end`; gives the requests that ended, and rows of the time line.

    The loop stops where a round of training begins, so that the round learns from what is known then; rows
    are given for the whole chunk. With `last`, `end` is the horizon: every row is given, those without an
    outcome as in_flight.
    """
    _admit(rules, learning, state, arrivals)
    played = Played(0.0, [], [])
    for begin, until in learning.pieces(start, end):
        learning.attend(state, begin)
        decided = _decide(rules, learning, state, until)
        coming = agenda(rules, state, decided, begin, until)
        played += play(rules, state, coming, begin, until, learning.slowness)
        _settle(state, until)
    state.steps = played.steps
    seconds = observe(state, played, start, end)
    seconds |= learning.staleness(seconds["at_s"])
    ended = _collect(state, end, last)
    learning.remember(ended, end)
    return ended, seconds


def _admit(rules: Rules, learning: Learning, state: State, arrivals: Arrivals) -> None:
    """Gives the new requests their names, samples and devices, and sorts them in among the open ones."""
    at, client = arrivals.at_s, arrivals.client
    begins = np.searchsorted(client, client, side="left")
    k = state.next_k[client] + np.arange(len(client)) - begins
    group = rules.clients.group[client]
    new = empty(ROW_TYPES, len(client))
    new["request_id"] = client.astype(np.int64) << CLIENT_SHIFT | k
    new["client"], new["arrived"] = client, at
    new["sample"] = learning.traffic.samples(new["request_id"], client, at)
    new["decided"] = done_at(at, client, np.array(rules.inference_s)[group], state.device_free)
    new["deadline"] = at + np.array([p.deadline_s for p in rules.patience])[group]
    new["window"][:], new["outcome"][:], new["resolved"][:] = -1, _IN_FLIGHT, np.nan
    state.next_k += np.bincount(client, minlength=len(state.next_k))
    np.maximum.at(state.device_free, client, new["decided"])

    rows = join(state.rows, new)
    order = np.argsort(rows["request_id"], kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    state.rows = take(rows, order)
    state.sends["row"] = place[state.sends["row"]]


def _decide(rules: Rules, learning: Learning, state: State, end: float) -> NDArray[np.int64]:
    """Decides what the devices finish before `end`; gives the new first sends, as indices into the sends."""
    rows = state.rows
    group = rules.clients.group[rows["client"]]
    due = (rows["window"] < 0) & (rows["decided"] < end)
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
    for which, outcome in ((local, _LOCAL), (late, _TIMED_OUT)):
        rows["outcome"][which] = outcome
        rows["resolved"][which] = rows["decided"][which]
    before = len(state.sends["row"])
    sent = np.flatnonzero(due & rows["deferred"] & ~late)
    state.sends = join(state.sends, _first_sends(rules, state, sent, group[sent]))
    return np.arange(before, before + len(sent))


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


def _first_sends(rules: Rules, state: State, row: NDArray[np.int64], group: NDArray[np.int16]) -> Columns:
    """The first attempts of the given rows, sent at their decisions."""
    sends = empty(SEND_TYPES, len(row))
    request, sent = state.rows["request_id"][row], state.rows["decided"][row]
    sends["row"], sends["attempt"][:], sends["sent"] = row, 1, sent
    for g, patience in enumerate(rules.patience):
        mine = group == g
        sends["reached"][mine] = sent[mine] + patience.link.up_many(request[mine])
        sends["down"][mine] = patience.link.down.many(request[mine])
        sends["timer"][mine] = sent[mine] + patience.timeout_s
    sends["timer"] = np.minimum(sends["timer"], state.rows["deadline"][row])
    sends["factor"] = rules.service.factor_many(request)
    for name, nothing in NEW_SEND.items():
        sends[name][:] = nothing
    return sends


def _settle(state: State, end: float) -> None:
    """Writes down the answers that reached their clients in time: known without an event of their own."""
    rows, sends = state.rows, state.sends
    over = sends["over"]
    back = sends["finished"] + sends["down"]
    served = ~np.isnan(back)
    state.sends = sends | {"over": np.where(served, back, over)}
    in_time = served & (back <= sends["timer"]) & (sends["failure"] == 0) & (back < end)
    rows["outcome"][sends["row"][in_time]] = _REMOTE
    rows["resolved"][sends["row"][in_time]] = back[in_time]


def _collect(state: State, end: float, last: bool) -> Ended:
    """Takes the ended rows out of the state, and the numbers of what stays along with them."""
    rows, sends = state.rows, state.sends
    under_way = ~(sends["over"] < end)
    ended = ~np.isnan(rows["resolved"])
    ended[sends["row"][under_way]] = False
    if last:
        ended[:] = True
    ends = ended[sends["row"]]
    place = np.where(ended, np.cumsum(ended), np.cumsum(~ended)) - 1
    new_send = np.cumsum(~ends) - 1
    sends = sends | {"row": place[sends["row"]]}
    if not last:
        state.rows, state.sends = take(rows, ~ended), take(sends, ~ends)
        state.waiting = new_send[state.waiting].tolist()
        state.batch_of = [new_send[batch].tolist() for batch in state.batch_of]
    return Ended(take(rows, ended), take(sends, ends & ~np.isnan(sends["sent"])))
