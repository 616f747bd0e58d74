"""The clients' side of the loop: what may be sent, what a client learns, when it gives up or tries again.
Handlers over the columns of `sim.engine.board`; clients that something may keep from sending have more of
them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isnan, nan
from typing import Any

from sim.engine.board import ANSWER, ASK, ERROR, GAIN, LOST, REACH, REFUSED, RETRY, TIMED_OUT, TIMER, Board
from sim.engine.breakers import Breakers
from sim.engine.clock import Handler
from sim.engine.passage import uplink
from sim.engine.reactions import SENDS, reactions
from sim.engine.state import ALLOWANCE_CAP, NEW_SEND
from sim.policy.controllers import REMOTE
from sim.results.columns import OUTCOMES
from sim.world.budgets import TOKEN, drawing

_OVER_BUDGET, _LINK_DOWN, _BREAKER_OPEN = (
    OUTCOMES.index(outcome) for outcome in ("over_budget", "link_down", "breaker_open")
)


@dataclass(frozen=True)
class Patience:
    """What every client does. fail: (now, send, outcome) an attempt has failed; gain: a first send earns;
    again: (now, failed attempt) makes the next one, which leaves now, and gives it."""

    fail: Callable[[float, int, int], None]
    gain: Handler
    again: Callable[[float, int], int]


def clients(board: Board, reach: Handler, rest: Handler | None = None) -> None:
    """Handles what clients do and hear.

    reach: what happens when a send reaches the server. rest: (now, row) a client has had its last word; None
    where no client waits for that before it asks again.
    """
    always = patience(board)
    if board.rules.asks.any():
        _limited(board, reach, always, rest)
        _hearing(board, always.fail, rest)
    else:
        _unlimited(board, always)


def patience(board: Board) -> Patience:
    """Retries and the allowance for them, fallbacks, and the client's own timer."""
    rules, state, put = board.rules, board.state, board.put
    row_of, attempt_of, failure, retry_at = board.columns("row", "attempt", "failure", "retry_at")
    send = sending(board)
    request_id, client_of, deadline, outcome, resolved = board.rows(
        "request_id", "client", "deadline", "outcome", "resolved"
    )
    group_of: Any = rules.clients.group.data
    allowance: Any = state.allowance.data
    patiences = rules.patience

    def gain(_: float, client: int) -> None:
        allowance[client] = min(ALLOWANCE_CAP, allowance[client] + patiences[group_of[client]].allowance)

    def fail(now: float, send: int, why: int) -> None:
        failure[send] = why
        row, attempt = row_of[send], attempt_of[send]
        client = client_of[row]
        patience = patiences[group_of[client]]
        if attempt < patience.max_attempts and (not patience.limited or allowance[client] >= TOKEN):
            at = now + patience.backoff.after(request_id[row], attempt)
            if at < deadline[row]:
                if patience.limited:
                    allowance[client] -= TOKEN
                retry_at[send] = at
                put(at, RETRY, send)
                return
        outcome[row] = why
        resolved[row] = now

    def again(now: float, failed: int) -> int:
        return send(now, row_of[failed], attempt_of[failed] + 1)

    board.handle(GAIN, gain)
    return Patience(fail, gain, again)


def sending(board: Board) -> Callable[[float, int, int], int]:
    """`send(now, row, attempt)`: adds a send that leaves now and gives it; first ones of a chunk are made by
    `sim.engine.decisions`, all together."""
    rules, sends = board.rules, board.sends
    (row_of,) = board.columns("row")
    request_id, client_of, deadline = board.rows("request_id", "client", "deadline")
    group_of: Any = rules.clients.group.data
    patiences, factor = rules.patience, rules.service.factor_one

    def send(now: float, row: int, attempt: int) -> int:
        request = request_id[row]
        patience = patiences[group_of[client_of[row]]]
        new = {
            "row": row,
            "attempt": attempt,
            "sent": now,
            "reached": now + patience.link.up_one(request, attempt),
            "down": patience.link.down.one(request, attempt),
            "timer": min(now + patience.timeout_s, deadline[row]),
            "factor": factor(request, attempt),
        }
        for name, value in (new | NEW_SEND).items():
            sends[name].append(value)
        return len(row_of) - 1

    return send


def _unlimited(board: Board, always: Patience) -> None:
    """Clients that nothing keeps from sending."""
    put, fail, again = board.put, always.fail, always.again
    reached, timer, finished, down, failure = board.columns("reached", "timer", "finished", "down", "failure")

    def time_out(now: float, send: int) -> None:
        if not (failure[send] or finished[send] + down[send] <= now):
            fail(now, send, TIMED_OUT)

    def retry(now: float, failed: int) -> None:
        send = again(now, failed)
        put(reached[send], REACH, send)
        if timer[send] < inf:
            put(timer[send], TIMER, send)

    board.handle(ERROR, lambda now, send: fail(now, send, REFUSED))
    board.handle(TIMER, time_out)
    board.handle(RETRY, retry)


def _limited(board: Board, reach: Handler, always: Patience, rest: Handler | None) -> None:
    """Clients some of which have a circuit breaker, a link that fails, or a budget: asked in this order."""
    rules, state, put = board.rules, board.state, board.put
    row_of, sent, reached, timer = board.columns("row", "sent", "reached", "timer")
    over, failure = board.columns("over", "failure")
    client_of, outcome, resolved = board.rows("client", "outcome", "resolved")
    breakers, goes_up, reacts = breakers_of(board), uplink(board), reactions(board)
    take, _ = drawing(rules.accounts, state.budgets, rules.charge_on != "send")

    def obstacle(now: float, client: int) -> int:
        """What keeps the client from sending now, as an outcome; 0: nothing, and what it takes is taken."""
        if breakers and not breakers.lets_pass(client, now):
            return _BREAKER_OPEN
        if not rules.links.downtime(client).is_up(now):
            return _LINK_DOWN
        if not take(client, now):
            return _OVER_BUDGET
        if breakers:
            breakers.sends(client)
        return 0

    def ask(now: float, send: int) -> None:
        row = row_of[send]
        why = reacts.keeps(now, row) if reacts else SENDS
        if why == SENDS:
            why = obstacle(now, client_of[row]) or SENDS
        if why != SENDS:
            sent[send], reached[send], timer[send], over[send] = nan, nan, inf, now
            outcome[row], resolved[row] = why, now
            if rest:
                rest(now, row)
        else:
            always.gain(now, client_of[row])
            depart(now, send)

    def retry(now: float, failed: int) -> None:
        row = row_of[failed]
        if obstacle(now, client_of[row]):
            outcome[row], resolved[row] = failure[failed], now
            if rest:
                rest(now, row)
        else:
            depart(now, always.again(now, failed))

    def depart(now: float, send: int) -> None:
        if timer[send] < inf:
            put(timer[send], TIMER, send)
        if not goes_up(now, send):
            return
        if reached[send] > now:
            put(reached[send], REACH, send)
        else:
            reach(now, send)

    board.handle(ASK, ask)
    board.handle(RETRY, retry)


def _hearing(board: Board, falls_back: Callable[[float, int, int], None], rest: Handler | None) -> None:
    """What such clients make of errors, silence and answers; `falls_back` is what everybody does."""
    rules, breakers, reacts = board.rules, breakers_of(board), reactions(board)
    row_of, sent, finished, down = board.columns("row", "sent", "finished", "down")
    failure, retry_at = board.columns("failure", "retry_at")
    (client_of,) = board.rows("client")
    _, settle = drawing(rules.accounts, board.state.budgets, rules.charge_on != "send")

    def hear_error(now: float, send: int) -> None:
        settle(client_of[row_of[send]], sent[send], now, False)
        fail(now, send, REFUSED)

    def time_out(now: float, send: int) -> None:
        if not (failure[send] or finished[send] + down[send] <= now):
            settle(client_of[row_of[send]], sent[send], now, True)
            fail(now, send, TIMED_OUT)

    def fail(now: float, send: int, why: int) -> None:
        if breakers:
            breakers.hears(client_of[row_of[send]], False, sent[send], now)
        if reacts:
            reacts.hears(now, send, why)
        falls_back(now, send, why)
        if rest and isnan(retry_at[send]):
            rest(now, row_of[send])

    def hear_answer(now: float, send: int) -> None:
        client = client_of[row_of[send]]
        settle(client, sent[send], now, True)
        if breakers:
            breakers.hears(client, True, sent[send], now)
        if reacts:
            reacts.hears(now, send, REMOTE)
        if rest:
            rest(now, row_of[send])

    board.handle(ERROR, hear_error)
    board.handle(TIMER, time_out)
    board.handle(ANSWER, hear_answer)


def breakers_of(board: Board) -> Breakers | None:
    """The circuit breakers, if some group has them."""
    return Breakers(board.rules, board.state.breakers) if any(board.rules.breakers) else None


def telling(board: Board, goes_down: Callable[[float, int], bool]) -> Callable[[Any], None] | None:
    """Called with each completion: answers go over links that may fail, breakers and budgets hear of them.

    None where no client does anything about an answer: once its batch is finished the instant of the reply
    is known, and whether the client still waits then is a comparison.
    """
    if not board.rules.asks.any():
        return None
    put, clock, batch_of = board.put, board.clock, board.state.batch_of
    row_of, down, timer, over, cause = board.columns("row", "down", "timer", "over", "cause")
    (client_of,) = board.rows("client")
    asks: Any = board.rules.asks.data
    hears: Any = board.rules.hears.data

    def told(done: Any) -> None:
        if done.subject < 0:
            return
        now = clock.now
        for send in batch_of[done.subject]:
            client = client_of[row_of[send]]
            if not asks[client]:
                continue
            if not goes_down(now, send):
                cause[send], over[send] = LOST, now
            elif hears[client] and now + down[send] <= timer[send]:
                put(now + down[send], ANSWER, send)

    return told
