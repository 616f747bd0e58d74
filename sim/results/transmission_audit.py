"""What devices sent together, recounted from their sends alone: who may leave with whom, when, and how long
the bytes take. Asked by `sim.results.verify`; shares nothing with the handlers."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import groupby
from typing import NamedTuple

import numpy as np

from sim.engine.state import Ended
from sim.errors import RunFailed
from sim.world.parameters import Parameters
from sim.world.population import CLIENT_SHIFT

ROUNDING = 1e-9


class Member(NamedTuple):
    """A first send that left with others: when; the request_id of the first of them, and its own."""

    sent: float
    transmission: int
    request_id: int
    decided: float
    reached: float


class TransmissionAudit:
    """Recounts transmissions once all that may be in them have ended; what it depends on is kept with
    checkpoints. members: those not yet recounted, a heap: what waits for an old one costs nothing."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters, self._group = parameters, parameters.clients.group
        self._batches = np.array([batch is not None for batch in parameters.batches])
        self.members: list[tuple[float, int, int, float, float]] = []

    def add(self, ended: Ended, open_since: float) -> None:
        """Takes the first sends of rows that ended. Raises RunFailed if one left alone that should not, or
        some left together that could not. open_since: when the oldest request arrived that has not ended."""
        if not self._batches.any():
            return
        rows, sends = ended.rows, ended.sends
        first, row = sends["attempt"] == 1, sends["row"]
        together = first & self._batches[self._group[rows["client"][row]]]
        if np.any(together != (sends["transmission"] >= 0)):
            raise RunFailed("run", "a send left alone whose device sends several together, or the reverse")
        columns = (
            sends["sent"],
            sends["transmission"],
            *(rows[name][row] for name in ("request_id", "decided")),
            sends["reached"],
        )
        for one in zip(*(column[together].tolist() for column in columns), strict=True):
            heappush(self.members, one)
        due = []
        while self.members and self.members[0][0] < open_since:
            due.append(Member(*heappop(self.members)))
        due.sort(key=lambda one: (one.transmission, one.request_id))
        for name, members in groupby(due, key=lambda one: one.transmission):
            self._recount(name, list(members))

    def _recount(self, name: int, members: list[Member]) -> None:
        g = self._group[name >> CLIENT_SHIFT]
        batch, process_at_once = self._parameters.batches[g], self._parameters.at_once[g]
        assert batch is not None
        first, n = members[0], len(members)
        wrong = [
            (first.request_id != name, "is not named by its first"),
            (len({one.request_id >> CLIENT_SHIFT for one in members}) > 1, "is of several clients"),
            (len({one.sent for one in members}) > 1, "left at several instants"),
            (len({one.reached for one in members if one.reached == one.reached}) > 1, "arrived at several"),
            (n > batch.size, f"carries {n} requests in a batch of {batch.size}"),
            (max(one.decided for one in members) > first.sent, "left before all of it was decided"),
        ]
        if batch.wait_s is not None:
            longest = first.sent - min(one.decided for one in members)
            wrong.append((longest > batch.wait_s + ROUNDING * first.sent, "waited for longer than it may"))
        if self._parameters.thinks[g] is not None:
            calls = {_number(one) // process_at_once for one in members}
            wrong.append((len(calls) > 1, "is of what its client asked at several times"))
        elif batch.of == "requests":
            blocks = {_number(one) // batch.size for one in members}
            wrong.append((len(blocks) > 1, f"is of several times {batch.size} decisions"))
        takes_s = n * self._parameters.options[g][0].transfer_s
        is_fast = first.reached - first.sent < takes_s - ROUNDING * (1.0 + first.sent)
        wrong.append((is_fast, "took less time than its bytes need"))
        for is_so, what in wrong:
            if is_so:
                raise RunFailed("run", f"transmission {name} of {first.sent} s {what}")


def _number(one: Member) -> int:
    return one.request_id & ((1 << CLIENT_SHIFT) - 1)
