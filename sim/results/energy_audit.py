"""What devices drew, counted again from requests and sends alone, to the nanojoule; and that accounts add up.
Asked by `sim.results.verify`; shares nothing with the handlers that took the energy but what is whole."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine.batteries import Columns
from sim.engine.events import CANCELLED
from sim.engine.state import Ended
from sim.errors import RunFailed
from sim.world.energy import nearest
from sim.world.network import bits_by
from sim.world.options import Option
from sim.world.parameters import Parameters

# Of attempts that one client sends at one instant: retries, hedges, first ones, those that took no time.
_RETRY, _HEDGE, _FIRST, _AT_ONCE = range(4)  # one whose device computed first leaves among first ones
Sent = tuple[float, int, int, int, int, int]


class EnergyAudit:
    """Recounts in the order of the sends; what it depends on is kept with checkpoints."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        clients = parameters.clients.size if parameters.power.is_metered.any() else 0
        self.drawn, self.asked = (np.zeros(clients, dtype=np.int64) for _ in range(2))
        self.listens_until = np.full(clients, -np.inf)
        self.sent: list[Sent] = []  # not yet recounted: instant, client, which, request, attempt, option

    def add(self, ended: Ended, open_since: float) -> None:
        """Takes rows that ended. open_since: when the oldest request arrived that has not; later sends are
        recounted later."""
        if not len(self.drawn):
            return
        rows, sends, parameters = ended.rows, ended.sends, self._parameters
        begun = (rows["decided"] < np.inf) | (rows["drawn"] > 0)
        group = parameters.clients.group[rows["client"]]
        np.add.at(self.drawn, rows["client"], rows["drawn"])
        np.add.at(self.asked, rows["client"], np.where(begun, parameters.power.inference[group], 0))
        row, attempt = sends["row"], sends["attempt"]
        at_once = rows["decided"][row] == rows["arrived"][row]
        which = np.where(attempt > 1, _RETRY, np.where(at_once, _AT_ONCE, _FIRST))
        which[(attempt == 2) & (sends["rival"] >= 0)] = _HEDGE
        mine, computes = parameters.power.is_metered[group[row]], ~np.isnan(sends["computed_at"])
        which[computes] = _FIRST
        for one in np.flatnonzero(mine & computes).tolist():
            self.asked[rows["client"][row[one]]] += self._option(group[row[one]], sends["option"][one]).device
        mine &= ~computes | _has_left(sends)
        columns = (
            np.where(computes, sends["computed_at"], sends["sent"]),
            rows["client"][row],
            which,
            rows["request_id"][row],
            attempt,
            sends["option"],
        )
        self.sent += zip(*(column[mine].tolist() for column in columns), strict=True)
        self.sent.sort()
        known = 0
        while known < len(self.sent) and self.sent[known][0] < open_since:
            self._recount(self.sent[known])
            known += 1
        del self.sent[:known]

    def _recount(self, one: Sent) -> None:
        """What the radio takes: a payload's time, and the tail of which nothing is paid yet."""
        sent, client, _, _, _, place = one
        option = self._option(self._parameters.clients.group[client], place)
        takes_s = option.transfer_s * self._parameters.links.factor(client, sent)
        paid_s = max(0.0, self.listens_until[client] - sent)
        self.asked[client] += nearest(option.tx * takes_s)
        self.asked[client] += nearest(option.rx * max(0.0, option.tail_s - paid_s))
        self.listens_until[client] = max(self.listens_until[client], sent + (takes_s + option.tail_s))

    def _option(self, group: Any, place: Any) -> Option:
        return self._parameters.options[int(group)][int(place)]

    def finish(self, accounts: Columns, at_s: float) -> None:
        """Raises RunFailed unless every account adds up. accounts: at the horizon, which is `at_s`."""
        power, of = self._parameters.power, accounts
        if not len(self.drawn):
            return
        group = self._parameters.clients.group
        on_battery, taken = power.capacity[group] > 0, of["inference"] + of["radio"]
        _require(self.drawn == taken, "requests drew {}, the account says {}", self.drawn, taken)
        wanted = taken + of["missing"]
        _require(self.asked == wanted, "requests asked for {}, the account says {}", self.asked, wanted)
        came = np.array([nearest(bits_by(power.harvest, g, at_s)) for g in range(len(power.capacity))])[group]
        _require(of["harvested"] == came, "the account harvested {}, and not {}", of["harvested"], came)
        left = power.start[group] + came - of["spilled"] - of["idle"] - taken
        _require(~on_battery | (of["level"] == left), "holds {}, and not {}", of["level"], left)
        inside = (of["level"] >= 0) & (of["level"] <= power.capacity[group])
        _require(inside, "holds {}, of {}", of["level"], power.capacity[group])
        idle = power.idle[group] * (at_s - of["silent_s"])
        slack = 2.0 + 2.0 * of["deaths"] + 1e-9 * np.abs(idle)
        _require(np.abs(of["idle"] - idle) <= slack, "idled for {}, and not {}", of["idle"], idle)


def _has_left(sends: Columns) -> NDArray[np.bool_]:
    """Which attempts left their devices, of those on which these computed first, bool (sends,)."""
    called_off = (sends["cause"] == CANCELLED) & np.isnan(sends["reached"])
    computing = np.isinf(sends["reached"]) & np.isnan(sends["closed_at"]) & (sends["hop"] < 0)
    left: NDArray[np.bool_] = ~called_off & ~computing
    return left


def _require(holds: NDArray[np.bool_], rule: str, one: NDArray[Any], other: NDArray[Any]) -> None:
    wrong = np.flatnonzero(~holds)
    if len(wrong):
        client = int(wrong[0])
        told = rule.format(f"{one[client]} nJ", f"{other[client]} nJ")
        raise RunFailed("run", f"energy of client {client}: {told}")
