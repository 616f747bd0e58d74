"""One chunk of virtual time, [start, end): who arrives, what is decided, what ends.
Array operations before and after `sim.engine.loop.play`, which alone knows what happens at the server."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from sim.engine import loop
from sim.engine.agenda import Agenda, agenda
from sim.engine.closed_loop import think_on
from sim.engine.decisions import decide_due, first_sends, new_rows
from sim.engine.learning import Learning
from sim.engine.loop import Played
from sim.engine.state import Columns, Ended, State, join, take
from sim.results.columns import OUTCOMES
from sim.results.timeline import observe
from sim.world.arrivals.source import Arrivals
from sim.world.devices import done_at
from sim.world.parameters import Rules
from sim.world.population import CLIENT_SHIFT

_REMOTE = OUTCOMES.index("remote")


Play = Callable[
    [State, Agenda, float, float, Learning], Played
]  # of a run's rules: `sim.engine.loop`, `sim.engine.kernel`


def run_chunk(
    rules: Rules,
    learning: Learning,
    state: State,
    arrivals: Arrivals,
    start: float,
    end: float,
    last: bool,
    play: Play | None = None,
) -> tuple[Ended, Columns]:
    """Advances `state` from `start` to `end`; gives the requests that ended, and rows of the time line.

    The loop stops where a round of training begins, so that the round learns from what is known then; rows
    are given for the whole chunk. With `last`, `end` is the horizon: every row is given, those without an
    outcome as in_flight. play: what plays a stretch of the loop; None: `sim.engine.loop`.
    """
    play = play or partial(loop.play, rules)
    _admit(rules, learning, state, arrivals)
    played = Played(0.0, [], [])
    for begin, until in learning.pieces(start, end):
        learning.attend(state, begin)
        decided = _decide(rules, learning, state, until)
        coming = agenda(rules, state, decided, begin, until)
        played += play(state, coming, begin, until, learning)
        if rules.has_closed_loops:  # requests that arrived meanwhile stand behind the others
            _put_in_order(state, state.rows)
        _settle(state, until)
    state.steps = played.steps
    in_loop = np.array([think is not None for think in rules.thinks])[rules.clients.group]
    seconds = observe(state, played, start, end, in_loop if rules.has_closed_loops else None)
    seconds |= learning.staleness(seconds["at_s"])
    ended = _collect(state, end, last)
    learning.remember(ended, end)
    return ended, seconds


def _admit(rules: Rules, learning: Learning, state: State, arrivals: Arrivals) -> None:
    """Gives the new requests their names, samples and devices, and sorts them in among the open ones."""
    at, client = arrivals.at_s, arrivals.client
    begins = np.searchsorted(client, client, side="left")
    k = state.next_k[client] + np.arange(len(client)) - begins
    inference_s = np.array(rules.inference_s)[rules.clients.group[client]]
    decided = done_at(at, client, inference_s, state.device_free)
    new = new_rows(rules, learning, client.astype(np.int64) << CLIENT_SHIFT | k, client, at, decided)
    state.next_k += np.bincount(client, minlength=len(state.next_k))
    np.maximum.at(state.device_free, client, decided)
    _put_in_order(state, join(state.rows, new))


def _put_in_order(state: State, rows: Columns) -> None:
    """Rows are sorted by request, and sends know theirs."""
    order = np.argsort(rows["request_id"], kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    state.rows = take(rows, order)
    state.sends["row"] = place[state.sends["row"]]


def _decide(rules: Rules, learning: Learning, state: State, end: float) -> int:
    """Decides what the devices finish before `end`; gives from which on the sends are new."""
    rows = state.rows
    due = (rows["window"] < 0) & (rows["decided"] < end)
    decide_due(rules, learning, state, rows, due)
    settled = due & ~np.isnan(rows["resolved"])
    think_on(rules, state, np.flatnonzero(settled))
    before, sent = len(state.sends["row"]), np.flatnonzero(due & ~settled)
    state.sends = join(state.sends, first_sends(rules, rows, sent))
    return before


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
