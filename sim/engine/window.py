"""One window of virtual time, [start, end): who arrives, what is decided, what ends.
Array operations before and after a clock plays it, which alone knows what happens at the server."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sim.engine.arrays.known_events import known_events
from sim.engine.batteries import draw_inference
from sim.engine.clock import Clock, Played, Stretch
from sim.engine.decisions import Undecided, decide_due, first_sends, new_rows
from sim.engine.events import IN_FLIGHT, REMOTE
from sim.engine.learning import Learning
from sim.engine.shared_links import passages
from sim.engine.state import Columns, Ended, State, join, take
from sim.engine.traces_told import taken, with_more
from sim.policy.waiting import is_in_time
from sim.results.timeline import observe
from sim.sorting import by_number, by_time
from sim.world.arrivals.source import Arrivals
from sim.world.devices import done_at
from sim.world.parameters import Parameters
from sim.world.population import CLIENT_SHIFT


def run_window(
    parameters: Parameters,
    learning: Learning,
    state: State,
    arrivals: Arrivals,
    start: float,
    end: float,
    last: bool,
    clock: Clock,
) -> tuple[Ended, Columns, list[Columns]]:
    """Advances `state` from `start` to `end`; gives the requests that ended, rows of the time line, and those
    of each server.

    The loop stops where a round of training begins, so that the round learns from what is known then; rows
    are given for the whole window. With `last`, `end` is the horizon: every row is given, those without an
    outcome as in_flight.
    """
    _admit(parameters, learning, state, arrivals)
    played, begin = Played.nothing(len(state.stations)), start
    while begin < end:
        learning.attend(state, begin)
        until = learning.until(begin, end)
        first, undecided = _decide(parameters, learning, state, until)
        known = known_events(parameters, state, first, begin, until)
        played += clock.play(state, Stretch(begin, until, known, undecided), learning)
        _note_versions(parameters, learning, state, begin)
        _settle(state, until)
        begin = until
    for server, steps in zip(state.stations, played.steps, strict=True):
        server.steps = steps
    seconds, of_servers = observe(state, played, start, end)
    seconds |= learning.staleness(seconds["at_s"])
    passed = passages(parameters, state, played.passed, end)
    ended = replace(_collect(state, end, last), passages=passed)
    learning.remember(ended, end)
    return ended, seconds, of_servers


def _admit(parameters: Parameters, learning: Learning, state: State, arrivals: Arrivals) -> None:
    """Gives the new requests their names, samples and devices; they stand behind the open ones, as they come.

    The loop walks along them in this order, which is what memory is fast at.
    """
    at, client = arrivals.at_s, arrivals.client
    first = np.flatnonzero(np.append(True, client[1:] != client[:-1])[: len(client)])
    asked = np.diff(first, append=len(client))
    k = np.arange(len(client)) + np.repeat(state.next_k[client[first]] - first, asked)
    group = parameters.clients.group[client]
    later = parameters.comes_in_loop[group]  # what their devices do depends on what happens
    inference_s = np.array(parameters.inference_s)[group]
    decided = np.where(later, np.inf, done_at(at, client, inference_s, state.device_free))
    request_id = client.astype(np.int64) << CLIENT_SHIFT | k
    state.next_k[client[first]] += asked
    np.maximum.at(state.device_free, client[~later], decided[~later])
    in_time = by_time(at)
    request_id, client, at, decided = request_id[in_time], client[in_time], at[in_time], decided[in_time]
    later, group = later[in_time], group[in_time]
    new = new_rows(parameters, learning, request_id, client, at, decided)
    if arrivals.told is not None:
        told = take(arrivals.told, in_time)
        new["sample"] = learning.traffic.asked(told["sample"], new["sample"], client, at)
        works = told["work"] / parameters.one_work[group]
        new["work"] *= np.where(np.isnan(works), 1.0, works)
        state.told = with_more(state.told, request_id, told)
    draw_inference(parameters.power, state.batteries, group, later, new)
    state.rows = join(state.rows, new)


def _decide(
    parameters: Parameters, learning: Learning, state: State, end: float
) -> tuple[int, list[Undecided]]:
    """Decides what the devices finish before `end`, where nothing that happens can change it.

    Gives from which on the first attempts are new, and whom the clock must decide.
    """
    rows = state.rows
    due = (rows["server_version"] < 0) & (rows["decided"] < end)
    comes = (rows["decided"] == np.inf) & np.isnan(rows["completed_at"])  # to its device, in this stretch
    comes &= rows["arrived"] < end
    undecided = decide_due(parameters, learning, rows, due | comes, end)
    before, sent = len(state.sends["row"]), np.flatnonzero(due & np.isnan(rows["completed_at"]))
    state.sends = join(state.sends, first_sends(parameters, rows, sent))
    return before, undecided


def _note_versions(parameters: Parameters, learning: Learning, state: State, begin: float) -> None:
    """Writes down the server's version in force at each decision that was taken as its request came."""
    rows = state.rows
    if parameters.decided_in_loop.any():
        mine = parameters.decided_in_loop[parameters.clients.group[rows["client"]]]
        here = np.flatnonzero(mine & (rows["server_version"] >= 0) & (rows["decided"] >= begin))
        rows["server_version"][here] = learning.schedule.server_version(rows["decided"][here])


def _settle(state: State, end: float) -> None:
    """Writes down the answers that reached their clients in time: known without an event of their own."""
    rows, sends = state.rows, state.sends
    over = sends["closed_at"]
    back = sends["finished"] + sends["downlink_s"]
    served = ~np.isnan(back)
    state.sends = sends | {"closed_at": np.where(served, back, over)}
    in_time = served & is_in_time(back, sends["timeout_at"]) & (sends["failure"] == 0) & (back < end)
    in_time &= rows["outcome"][sends["row"]] == IN_FLIGHT  # of two answers the first was written down
    rows["outcome"][sends["row"][in_time]] = REMOTE
    rows["completed_at"][sends["row"][in_time]] = back[in_time]


def _collect(state: State, end: float, last: bool) -> Ended:
    """Takes the ended rows out of the state, by request, and the numbers of what stays along with them."""
    rows, sends = state.rows, state.sends
    under_way = ~(sends["closed_at"] < end)
    is_over = ~np.isnan(rows["completed_at"])
    is_over[sends["row"][under_way]] = False
    if last:
        is_over[:] = True
    ended, stays = np.flatnonzero(is_over), np.flatnonzero(~is_over)
    ended = ended[by_number(rows["client"][ended])]  # whose own stand in their order
    place = np.empty(len(is_over), dtype=np.int64)
    place[ended], place[stays] = np.arange(len(ended)), np.arange(len(stays))
    ends = is_over[sends["row"]]
    new_send = np.where(ends, np.cumsum(ends), np.cumsum(~ends)) - 1
    rival = np.where(sends["rival"] >= 0, new_send[sends["rival"]], -1)
    sends = sends | {"row": place[sends["row"]], "rival": rival}
    if not last:
        state.rows, state.sends = take(rows, stays), take(sends, ~ends)
        for server in state.stations:
            server.waiting = new_send[server.waiting].tolist()
            server.batch_of = [new_send[batch].tolist() for batch in server.batch_of]
    rows = take(rows, ended)
    told, state.told = taken(state.told, rows["request_id"])
    return Ended(rows | told, take(sends, ends & ~np.isnan(sends["sent"])))
