"""Markov-modulated Poisson arrivals: a process per client, stationary from t = 0.
Runs in operational time; instants come out through the group's shape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.streams import Draws
from sim.world.arrivals.processes import Carried, Drawn, Instants, covering
from sim.world.arrivals.renewals import Numbers, Renewed, first_left, never_back, renew
from sim.world.population import CLIENT_SHIFT

if TYPE_CHECKING:
    from sim.registry.arrivals import Mmpp
    from sim.registry.shapes import Shape


@dataclass(frozen=True)
class Stays:
    """Stays that meet a stretch of time, by client and then by time; `first`, `last`: rows per client.

    client, number int64; state int64, an index into the rates; begins, ends float64 in operational time
    (the beginning of a client's first stay is over and 0).
    """

    client: Numbers
    number: Numbers
    state: Numbers
    begins: Instants
    ends: Instants
    first: Numbers
    last: Numbers


class MmppGroup(Carried):
    """Each client is in one of the states; there it asks at that state's rate, as a Poisson process.

    Stays are exponential with one mean, and the states follow each other in the order of the list, round
    and round; so all are equally likely at any time, and the first is drawn from that. Stay j of a client
    is keyed (client, j). Within a stay, gaps are keyed (client, j, i): a Poisson process has no memory, so
    it begins afresh with each stay.
    """

    KEPT = ("stay", "change_at", "next_i", "next_at", "latest_s")

    def __init__(self, seed: int, process: Mmpp, shape: Shape, first: int, clients: int) -> None:
        self._rates, self._mean_stay = np.array(process.rates_hz), process.mean_stay_s
        self._stay_draws, self._gap_draws = Draws(seed, "stay"), Draws(seed, "gap in a stay")
        self._shape, self._inverse = shape, shape.inverse()
        self._ids = np.arange(first, first + clients)
        states = len(self._rates)
        self._first_state = (Draws(seed, "first state").many(self._ids) * states).astype(np.int64)
        super().__init__()

    def begin(self) -> None:
        """Per client: its stay, int64, and when that ends; the next request in it, int64, and when.

        Instants float64 in operational time; the next request is not real if its stay ends before.
        """
        clients = np.arange(len(self._ids))
        self.stay, self.next_i = np.zeros_like(clients), np.zeros_like(clients)
        self.change_at = self._length(clients, self.stay)
        self.next_at = self._gap(clients, self.stay, self._first_state, self.next_i)
        self.latest_s = np.zeros(len(clients))

    def _advance(self, end_s: float) -> Drawn:
        until = covering(self._shape, end_s)
        stays = self._unfold(until)
        found = self._within(stays, until)
        client = stays.client[found.entity]
        at = never_back(self._inverse(found.at), client, self.latest_s)
        arrives = at < end_s
        self._keep(stays, found, arrives)
        np.maximum.at(self.latest_s, client[arrives], at[arrives])
        return Drawn(at[arrives], self._ids[client[arrives]].astype(np.int32))

    def _unfold(self, until: float) -> Stays:
        """The stays from each client's present one up to the one that ends at `until` or later."""
        clients = len(self._ids)
        limits = np.full(clients, until)
        changes = renew(
            self.change_at,
            self.stay + 1,
            limits,
            lambda client, number: self._length(client, number - 1),
            self._mean_stay,
            1.0,
        )
        counts = np.bincount(changes.entity, minlength=clients) + 1
        last = np.cumsum(counts) - 1
        first = last - counts + 1
        client = np.repeat(np.arange(clients), counts)
        number = self.stay[client] + np.arange(len(client)) - first[client]
        begins, ends = np.zeros(len(client)), changes.next_at[client]
        is_first, is_last = np.zeros((2, len(client)), dtype=np.bool_)
        is_first[first], is_last[last] = True, True
        begins[~is_first], ends[~is_last] = changes.at, changes.at
        state = (self._first_state[client] + number) % len(self._rates)
        return Stays(client, number, state, begins, ends, first, last)

    def _within(self, stays: Stays, until: float) -> Renewed:
        """The requests of each stay before its end and `until`, by stay; all states are drawn one by one."""
        number = np.zeros(len(stays.client), dtype=np.int64)
        at = stays.begins + self._gap(stays.client, stays.number, stays.state, number)
        at[stays.first], number[stays.first] = self.next_at, self.next_i
        limits = np.minimum(stays.ends, until)
        entity, numbers, instants = [], [], []
        for state, rate_hz in enumerate(self._rates.tolist()):
            if rate_hz:
                rows = np.flatnonzero(stays.state == state)
                gap = partial(self._gap_of_row, stays, rows)
                part = renew(at[rows], number[rows], limits[rows], gap, 1 / rate_hz, 1.0)
                at[rows], number[rows] = part.next_at, part.next_number
                entity.append(rows[part.entity])
                numbers.append(part.number)
                instants.append(part.at)
        entities = np.concatenate(entity)
        order = np.argsort(entities, kind="stable")
        return Renewed(
            entities[order], np.concatenate(numbers)[order], np.concatenate(instants)[order], at, number
        )

    def _keep(self, stays: Stays, found: Renewed, arrives: NDArray[np.bool_]) -> None:
        """Each client stands where its first request that has not arrived is, else in its last stay."""
        is_left, row = first_left(stays.client[found.entity], arrives, len(self._ids))
        stands = stays.last.copy()
        stands[is_left] = found.entity[row]
        self.stay, self.change_at = stays.number[stands], stays.ends[stands]
        self.next_i, self.next_at = found.next_number[stands], found.next_at[stands]
        self.next_i[is_left], self.next_at[is_left] = found.number[row], found.at[row]

    def _length(self, client: Numbers, stay: Numbers) -> Instants:
        return -self._mean_stay * np.log1p(-self._stay_draws.many(self._ids[client], stay))

    def _gap_of_row(self, stays: Stays, rows: Numbers, entity: Numbers, i: Numbers) -> Instants:
        row = rows[entity]
        return self._gap(stays.client[row], stays.number[row], stays.state[row], i)

    def _gap(self, client: Numbers, stay: Numbers, state: Numbers, i: Numbers) -> Instants:
        key = self._ids[client] << CLIENT_SHIFT | stay
        with np.errstate(divide="ignore", over="ignore"):  # at a rate of 0, or nearly: never
            return np.asarray(-np.log1p(-self._gap_draws.many(key, i)) / self._rates[state])
