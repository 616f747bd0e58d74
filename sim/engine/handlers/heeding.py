"""Whether what happens to an attempt still means anything to its client, and what it comes to.
Asked by `clients` of every event there."""

from __future__ import annotations

from typing import Any

from sim.engine.events import (
    ANSWER,
    ASK,
    ERROR,
    HEDGE,
    IN_FLIGHT,
    REFUSED,
    REMOTE,
    RETRY,
    TIMED_OUT,
    TIMER,
    UPLOAD,
)
from sim.engine.handlers.server import is_in_time, is_too_late
from sim.engine.linking import handler


@handler
def means_something(w: Any, now: Any, code: Any, attempt: Any) -> Any:
    """Whether an event still means anything to the client of an attempt."""
    if code in (ASK, RETRY):
        return True
    return may_hedge(w, now, attempt) if code == HEDGE else is_heard(w, code, attempt)


@handler
def is_heard(w: Any, code: Any, attempt: Any) -> Any:
    """Whether the end of an attempt means anything to its client: a request that is answered hears no more,
    and no timer fires of an attempt that has ended."""
    sends = w.sends
    if w.rows.outcome[sends.row[attempt]] != IN_FLIGHT:
        return False
    if code == UPLOAD:
        return sends.failure[attempt] == 0
    return code != TIMER or (
        sends.failure[attempt] == 0
        and not is_in_time(sends.finished[attempt] + sends.downlink_s[attempt], sends.timeout_at[attempt])
    )


@handler
def may_hedge(w: Any, now: Any, attempt: Any) -> Any:
    """Whether the first attempt of a request has come to nothing yet, and there is time left."""
    row = w.sends.row[attempt]
    is_open = w.rows.outcome[row] == IN_FLIGHT and w.sends.failure[attempt] == 0
    return is_open and not is_too_late(now, w.rows.deadline[row])


@handler
def last_of(w: Any, attempt: Any) -> Any:
    """The number of the last attempt of a request of which one has ended: a hedge counts."""
    number = w.sends.attempt[attempt]
    if number == 1 and w.sends.rival[attempt] >= 0:
        number = 2
    return number


@handler
def outcome_of(code: Any) -> Any:
    """What an attempt comes to whose client hears an error, or an answer, or nothing in time."""
    if code == ANSWER:
        return REMOTE
    return REFUSED if code == ERROR else TIMED_OUT
