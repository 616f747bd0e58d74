"""Renewal arrivals with Gamma gaps: a process per client, in equilibrium from t = 0.
Runs in operational time; instants come out through the group's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.registry.durations import gamma_factor, length_biased_gamma_factor
from sim.streams import Draws
from sim.world.arrivals.processes import Carried, Drawn, Instants, covering
from sim.world.arrivals.renewals import Numbers, first_left, never_back, renew

if TYPE_CHECKING:
    from sim.registry.arrivals import GammaRenewal
    from sim.registry.shapes import Shape


class GammaGroup(Carried):
    """The gap before a client's k-th request is keyed (client, k).

    The first one is what is left of the gap that t = 0 falls into: a uniform share of a length-biased gap.
    So the rate is the rate from the start on, and counts are stationary.
    """

    KEPT = ("next_k", "next_at", "latest_s")

    def __init__(self, seed: int, process: GammaRenewal, shape: Shape, first: int, clients: int) -> None:
        self._draws, self._mean, self._cv = Draws(seed, "gap"), 1 / process.rate_hz, process.cv
        self._factor = gamma_factor(process.cv)
        self._shape, self._inverse = shape, shape.inverse()
        self._ids = np.arange(first, first + clients)
        super().__init__()

    def begin(self) -> None:
        """next_k int64 (clients,), next_at float64 (clients,) in operational time, latest_s float64."""
        met = length_biased_gamma_factor(self._cv)(self._draws.many(self._ids))
        self.next_k = np.zeros(len(self._ids), dtype=np.int64)
        self.next_at = self._mean * met * self._draws.many(self._ids, trial=1)
        self.latest_s = np.zeros(len(self._ids))

    def _advance(self, end_s: float) -> Drawn:
        until = np.full(len(self._ids), covering(self._shape, end_s))
        found = renew(self.next_at, self.next_k, until, self._gap, self._mean, self._cv)
        at = never_back(self._inverse(found.at), found.entity, self.latest_s)
        arrives = at < end_s
        is_left, row = first_left(found.entity, arrives, len(self._ids))
        self.next_k, self.next_at = found.next_number, found.next_at
        self.next_k[is_left], self.next_at[is_left] = found.number[row], found.at[row]
        np.maximum.at(self.latest_s, found.entity[arrives], at[arrives])
        return Drawn(at[arrives], self._ids[found.entity[arrives]].astype(np.int32))

    def _gap(self, client: Numbers, k: Numbers) -> Instants:
        return self._mean * self._factor(self._draws.many(self._ids[client], k))
