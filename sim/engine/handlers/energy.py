"""Energy: what batteries hold, what requests draw from them, and when a device falls silent.
Whole nanojoules. An account is brought up to an instant only where something asks it, at instants that do not
depend on how the run is cut into windows."""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from sim.engine.handlers.lookups import slowed
from sim.engine.handlers.primitives import whole_number
from sim.engine.handlers.server import swallow
from sim.engine.linking import handler
from sim.world import energy, network

_bits_by, _nearest = handler(network.bits_by), handler(energy.nearest)


@handler
def is_on(w: Any, now: Any, client: Any, row: Any) -> Any:
    """Whether a device works, and has worked since a request came; one that ran empty has lost what was
    under way."""
    if w.power.capacity[w.clients.group[client]] == 0:
        return True
    charge_to(w, now, client)
    return not w.batteries.is_silent[client] and w.batteries.died_at[client] < w.rows.arrived[row]


@handler
def charge_to(w: Any, now: Any, client: Any) -> Any:
    """Brings a battery's account up to now, from one turn to the next: of the harvest, or as the device falls
    silent or works again."""
    while w.batteries.at[client] < now:
        charge_to_next_turn(w, now, client)


@handler
def charge_to_next_turn(w: Any, now: Any, client: Any) -> Any:
    of, group = w.batteries, w.clients.group[client]
    begin, until, is_silent = of.at[client], end_of_piece(w, group, of.piece[client]), of.is_silent[client]
    is_over = until <= now
    if not is_over:
        until = now
    turns_at = turn_of(w, client, gains_of(w, group, of.piece[client]))
    turns = turns_at <= until
    if turns:
        is_over, until = is_over and turns_at == until, turns_at
    came = harvested_by(w, group, until) - of.harvested[client]
    of.harvested[client] += came
    level, goes = of.level[client] + came, whole_number(0)
    if not is_silent:
        goes = idled_by(w, group, until) - idled_by(w, group, begin)
        turns = turns or goes >= level
        if turns:
            goes = level
    of.idle[client] += goes
    level -= goes
    if level > w.power.capacity[group]:
        of.spilled[client] += level - w.power.capacity[group]
        level = w.power.capacity[group]
    of.level[client], of.at[client] = level, until
    if is_over:
        of.piece[client] += 1
    if is_silent:
        of.silent_s[client] += until - begin
        of.is_silent[client] = not turns
    elif turns:
        fall_silent(w, until, client)


@handler
def turn_of(w: Any, client: Any, gains: Any) -> Any:
    """When a device falls silent, or works again, if the harvest stays as it is; NaN: never."""
    of, group = w.batteries, w.clients.group[client]
    begin, level = of.at[client], of.level[client]
    if of.is_silent[client]:
        wants = w.power.restart[group] - level
        if w.power.restart[group] == 0 or (wants > 0 and gains <= 0.0):
            return nan
        return begin + wants / gains if wants > 0 else begin
    loses = w.power.idle[group] - gains
    return begin + level / loses if loses > 0.0 else nan


@handler
def fall_silent(w: Any, now: Any, client: Any) -> Any:
    """A device has run empty: what it was at is lost."""
    of = w.batteries
    of.is_silent[client], of.died_at[client] = True, now
    of.deaths[client] += 1
    w.clients.device_free[client] = now
    if isnan(of.first_died_at[client]):
        of.first_died_at[client] = now


@handler
def take_charge(w: Any, now: Any, client: Any, row: Any, amount: Any) -> Any:
    """A request takes energy; gives how much there was of it. Whoever takes all that there is runs empty."""
    of, group = w.batteries, w.clients.group[client]
    if w.power.capacity[group] > 0:
        if amount >= of.level[client]:
            of.missing[client] += amount - of.level[client]
            amount = of.level[client]
            fall_silent(w, now, client)
        of.level[client] -= amount
    w.rows.drawn[row] += amount
    return amount


@handler
def begins(w: Any, now: Any, row: Any) -> Any:
    """Whether a device begins with a request that has come: it works, and has what inference takes."""
    client = w.rows.client[row]
    group = w.clients.group[client]
    if not w.power.is_metered[group]:
        return True
    if not is_on(w, now, client, row):
        return False
    w.batteries.inference[client] += take_charge(w, now, client, row, w.power.inference[group])
    return not w.batteries.is_silent[client]


@handler
def transmits(w: Any, now: Any, send: Any, option: Any) -> Any:
    """Whether a device has what its radio takes for an attempt that leaves; else it is swallowed.

    The power of a payload for as long as it passes the client's link, and that of listening for the tail
    behind it, less what is left of the tail before.
    """
    of, row = w.batteries, w.sends.row[send]
    client = w.rows.client[row]
    takes_s = w.options.transfer_s[option] * slowed(w.slow_links, client, now, 0)
    listens_s, left_s = w.options.tail_s[option], of.listens_until[client] - now
    if left_s > 0.0:
        listens_s = listens_s - left_s if listens_s > left_s else 0.0
    amount = _nearest(w.options.tx[option] * takes_s) + _nearest(w.options.rx[option] * listens_s)
    until = now + (takes_s + w.options.tail_s[option])
    of.listens_until[client] = max(of.listens_until[client], until)
    of.radio[client] += take_charge(w, now, client, row, whole_number(amount))
    if not of.is_silent[client]:
        return True
    swallow(w.sends.cause, w.sends.closed_at, now, send)
    w.sends.reached[send] = nan
    return False


@handler
def charge_of(w: Any, client: Any) -> Any:
    """The share of its battery that a client has left, as last asked; 1 on mains."""
    capacity = w.power.capacity[w.clients.group[client]]
    return w.batteries.level[client] / capacity if capacity > 0 else 1.0


# A group's harvest and idle draw, from t = 0: whole numbers, whose differences add up.


@handler
def harvested_by(w: Any, group: Any, at: Any) -> Any:
    return whole_number(_nearest(_bits_by(w.power.harvest, group, at)))


@handler
def idled_by(w: Any, group: Any, at: Any) -> Any:
    return whole_number(_nearest(w.power.idle[group] * at))


@handler
def gains_of(w: Any, group: Any, piece: Any) -> Any:
    """The power of a piece of the harvest, counted from t = 0."""
    lines = w.power.harvest
    first = lines.first[group]
    return lines.bps[first + piece % (lines.first[group + 1] - first)]


@handler
def end_of_piece(w: Any, group: Any, piece: Any) -> Any:
    """When it ends."""
    lines = w.power.harvest
    first = lines.first[group]
    pieces = lines.first[group + 1] - first
    period, number = piece // pieces, piece % pieces
    if number + 1 == pieces:
        return lines.period_s[group] * (period + 1)
    return lines.period_s[group] * period + lines.at_s[first + number + 1]
