"""What a device does with a request before it sends it: its part of an option, which computing takes.
Handlers of attempts that are to leave; `clients` lets them."""

from __future__ import annotations

from math import inf, nan
from typing import Any

from sim.engine.events import CANCELLED, IN_FLIGHT, KEY_DECISION, KEY_TIMER, NO_POWER, TIMER, UPLOAD
from sim.engine.handlers.deciding import SENDS
from sim.engine.handlers.energy import take_charge, transmits
from sim.engine.handlers.primitives import put, whole_number
from sim.engine.handlers.server import rank
from sim.engine.handlers.work import option_of
from sim.engine.linking import handler


@handler
def leaves_device(w: Any, r: Any, now: Any, code: Any, send: Any) -> Any:
    """Whether an attempt leaves its device now: SENDS; IN_FLIGHT, later; NO_POWER, it runs empty."""
    if w.constants.computes and code != UPLOAD and computes_first(w, send):
        return IN_FLIGHT if compute(w, r, now, send) else NO_POWER
    if w.power.is_metered[w.clients.group[w.rows.client[w.sends.row[send]]]]:
        return SENDS if transmits(w, now, send, option_of(w, send)) else NO_POWER
    return SENDS


@handler
def computes_first(w: Any, send: Any) -> Any:
    """Whether the device has a part in what an attempt asks, and has not done it for its request yet."""
    if w.options.device_s[option_of(w, send)] == 0.0:
        return False
    return w.rows.computed[w.sends.row[send]] & (1 << whole_number(w.sends.option[send])) == 0


@handler
def compute(w: Any, r: Any, now: Any, send: Any) -> Any:
    """The device takes on its part of an attempt, behind what it has taken on; gives whether it has the power
    for it."""
    sends, option, client = w.sends, option_of(w, send), w.rows.client[w.sends.row[send]]
    done = max(w.clients.device_free[client], now) + w.options.device_s[option]
    w.clients.device_free[client] = sends.computed_at[send] = done
    sends.reached[send] = inf
    if w.power.is_metered[w.clients.group[client]]:
        amount = take_charge(w, now, client, sends.row[send], w.options.device[option])
        w.batteries.inference[client] += amount
        if w.batteries.is_silent[client]:
            call_off(w, now, send)
            return False
    if sends.timeout_at[send] < inf:
        put(w.events, r, sends.timeout_at[send], KEY_TIMER | rank(w, send), TIMER, send)
    put(w.events, r, done, KEY_DECISION | rank(w, send), UPLOAD, send)
    return True


@handler
def end_computing(w: Any, now: Any, send: Any, is_wanted: Any) -> Any:
    """The device is done with its part, for this and all later attempts of the request; gives the attempt if
    it leaves now, else -1."""
    w.rows.computed[w.sends.row[send]] |= 1 << whole_number(w.sends.option[send])
    if is_wanted:
        return send
    call_off(w, now, send)
    return -1


@handler
def call_off(w: Any, now: Any, send: Any) -> Any:
    """An attempt does not leave: nobody waits for it any more."""
    w.sends.cause[send] = CANCELLED
    w.sends.closed_at[send], w.sends.reached[send] = now, nan
