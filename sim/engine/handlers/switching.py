"""A server that chooses among its models as a batch starts: by who waits, by deadlines, or by how many come.
Its models stand in order of their work; `width` is the place of one."""

from __future__ import annotations

from typing import Any

from sim.engine.events import BACKLOG_SWITCH, GEAR
from sim.engine.handlers.primitives import whole_number
from sim.engine.handlers.work import mean_work
from sim.engine.linking import handler
from sim.periods import period_of

_period_of = handler(period_of)


@handler
def note_arrival(s: Any, now: Any) -> Any:
    """Somebody comes to a server that goes by how many do."""
    begin_period(s, now)
    s.arrivals += 1


@handler
def begin_period(s: Any, now: Any) -> Any:
    """Begins the interval of an instant, if it has not begun."""
    period = whole_number(_period_of(now, s.every_s))
    if period != s.period:
        s.arrivals_before = s.arrivals if period == s.period + 1 else 0
        s.arrivals, s.period = 0, period


@handler
def switch_model(w: Any, s: Any, now: Any, head: Any, size: Any) -> Any:
    """Chooses the model that answers a batch."""
    if s.switch == BACKLOG_SWITCH:
        if s.waiting >= s.above:
            s.width = max(s.width - 1, 0)
        elif s.waiting <= s.below:
            s.width = min(s.width + 1, s.widths - 1)
    elif s.switch == GEAR:
        begin_period(s, now)
        s.width = gear(w, s)
    else:
        s.width = widest_in_time(w, s, now, head, size)
    answer_by(w, s, s.width, head, size)


@handler
def gear(w: Any, s: Any) -> Any:
    """The widest model with which full batches would serve what came in the last interval."""
    usable, full_s = s.replicas - s.taken, w.mean[s.first_scale + s.max_batch]
    width = s.widths - 1
    while width > 0:
        batch_s = full_s * w.widths.work[s.first_width + width] * s.stage_share
        if s.arrivals_before * batch_s <= s.every_s * (usable * s.max_batch * s.most_load):
            break
        width -= 1
    return width


@handler
def widest_in_time(w: Any, s: Any, now: Any, head: Any, size: Any) -> Any:
    """The widest model that is done by the first deadline of a batch, on average."""
    first, send = w.rows.deadline[w.sends.row[head]], head
    for _ in range(size):
        first = min(first, w.rows.deadline[w.sends.row[send]])
        send = w.lists.after[send]
    width = s.widths - 1
    while width > 0:
        answer_by(w, s, width, head, size)
        takes = w.mean[s.first_scale + size] * mean_work(w, head, size) * s.stage_overhead
        if now + takes <= first:
            break
        width -= 1
    return width


@handler
def answer_by(w: Any, s: Any, width: Any, head: Any, size: Any) -> Any:
    """A batch is to be answered by a model."""
    send = head
    for _ in range(size):
        w.sends.model[send] = w.widths.model[s.first_width + width]
        send = w.lists.after[send]
