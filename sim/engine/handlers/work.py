"""What attempts ask, and how much work that is.
Leaves of plain arrays, asked by the modules beside it."""

from __future__ import annotations

from typing import Any

from sim.engine.handlers.primitives import whole_number
from sim.engine.linking import handler


@handler
def mean_work(w: Any, head: Any, size: Any) -> Any:
    """Of the requests in a batch, added up in its order."""
    total, send = 0.0, head
    for _ in range(size):
        total += work_of(w, send)
        send = w.lists.after[send]
    return total / size


@handler
def work_of(w: Any, send: Any) -> Any:
    """What the service time of an attempt is multiplied by."""
    row = w.sends.row[send]
    one = w.rows.work[row]
    if len(w.work) > 0:
        one *= w.work[model_of(w, send) * w.constants.samples + w.rows.sample[row]]
    return one * w.options.work[option_of(w, send)]


@handler
def option_of(w: Any, send: Any) -> Any:
    """The place of the option that an attempt asks among those of all groups."""
    return w.groups.first_option[w.clients.group[w.rows.client[w.sends.row[send]]]] + w.sends.option[send]


@handler
def model_of(w: Any, send: Any) -> Any:
    """The model that answers an attempt: the one that its server has chosen, or that it asks."""
    if w.sends.model[send] >= 0:
        return whole_number(w.sends.model[send])
    return w.options.model[option_of(w, send)]
