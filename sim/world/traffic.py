"""Which sample a request brings: a client's mix of classes in force when the request arrives.
One keyed draw per request, so policies under one seed see the same samples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sim.errors import RunFailed
from sim.messages import Phase
from sim.streams import Draws
from sim.world.population import Population


class Traffic:
    """Knows the phases of every group. base_id: of the sample axis, int32 (samples,); for `asked` alone."""

    def __init__(
        self,
        seed: int,
        clients: Population,
        phases: tuple[tuple[Phase, ...], ...],
        base_id: NDArray[np.int32] | None = None,
    ) -> None:
        self._draws = Draws(seed, "sample")
        self._clients = clients
        self.phases, self._base_id = phases, base_id
        self._place_of: dict[tuple[int, int], NDArray[np.int32]] = {}

    def samples(
        self, request_id: NDArray[np.int64], client: NDArray[np.int32], arrived_s: NDArray[np.float64]
    ) -> NDArray[np.int32]:
        """Each request's place on the sample axis, int32 (n,), keyed by the request."""
        draw = self._draws.many(request_id)
        found = np.empty(len(client), dtype=np.int32)
        for g, n, here in self._in_phases(client, arrived_s):
            found[here] = pick(self.phases[g][n], client[here] - self._clients.first[g], draw[here])
        return found

    def asked(
        self,
        named: NDArray[np.int32],
        drawn: NDArray[np.int32],
        client: NDArray[np.int32],
        arrived_s: NDArray[np.float64],
    ) -> NDArray[np.int32]:
        """Places on the sample axis of the samples that a trace names by their index in the data set, as seen
        in the phase of the arrival; −1: the one that was drawn. Raises RunFailed for one that is not
        there."""
        found = drawn.copy()
        for g, n, arrive in self._in_phases(client, arrived_s):
            here = arrive[named[arrive] >= 0]
            if not len(here):
                continue
            places = self._places(g, n)
            found[here] = places[np.minimum(named[here], len(places) - 1)]
            wrong = here[found[here] < 0]
            if len(wrong):
                raise RunFailed("run", f"a trace names sample {named[wrong[0]]}, which its group never meets")
        return found

    def _in_phases(
        self, client: NDArray[np.int32], arrived_s: NDArray[np.float64]
    ) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
        """By group and phase, which requests arrive in it."""
        group = self._clients.group[client]
        for g, phases in enumerate(self.phases):
            mine = np.flatnonzero(group == g)
            if len(phases) == 1:
                yield g, 0, mine
                continue
            number = np.searchsorted([phase.at_s for phase in phases], arrived_s[mine], side="right") - 1
            for n in range(len(phases)):
                yield g, n, mine[number == n]

    def _places(self, g: int, n: int) -> NDArray[np.int32]:
        """Where a phase has the samples, by their index in the data set; −1: it does not, as of the last."""
        if (g, n) not in self._place_of:
            assert self._base_id is not None
            positions = self.phases[g][n].positions
            base = self._base_id[positions]
            self._place_of[g, n] = np.full(int(base.max()) + 2, -1, dtype=np.int32)
            self._place_of[g, n][base] = positions
        return self._place_of[g, n]

    def samples_in(
        self, group: int, phase: int, request_id: NDArray[np.int64], client: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """The samples of requests of one group, were they to arrive in one of its phases, int32 (n,)."""
        member = (client - self._clients.first[group]).astype(np.int32)
        return pick(self.phases[group][phase], member, self._draws.many(request_id))


def pick(phase: Phase, member: NDArray[np.int32], draw: NDArray[np.float64]) -> NDArray[np.int32]:
    """The samples that uniform draws in (0, 1) choose for members of a group, int32 (n,).

    A draw finds its stratum by the member's cumulative shares; what is left of it, rescaled, finds the
    sample within the stratum.
    """
    if phase.upto.shape[1] == 1:  # which holds all
        place = (draw * len(phase.positions)).astype(np.int64)
        only: NDArray[np.int32] = phase.positions[np.minimum(place, len(phase.positions) - 1)]
        return only
    upto = phase.upto[member if len(phase.upto) > 1 else np.zeros_like(member)]
    stratum = np.sum(draw[:, None] >= upto, axis=1)
    each = np.arange(len(draw))
    above = upto[each, stratum]
    below = np.where(stratum > 0, upto[each, stratum - 1], 0.0)
    size = phase.first[stratum + 1] - phase.first[stratum]
    place = ((draw - below) / (above - below) * size).astype(np.int64)
    picked: NDArray[np.int32] = phase.positions[phase.first[stratum] + np.minimum(place, size - 1)]
    return picked


def shares(phase: Phase, member: int) -> NDArray[np.float64]:
    """P(sample) for a member's requests, float64, along `phase.positions`."""
    upto = phase.upto[member if len(phase.upto) > 1 else 0]
    sizes = np.diff(phase.first)
    of_stratum = np.diff(upto, prepend=0.0) / np.maximum(sizes, 1)
    return np.repeat(of_stratum, sizes)
