"""What devices sent together, recounted from their sends alone: who may leave with whom, when, and how long
the bytes take. Asked by `sim.results.verify`; shares nothing with the handlers."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

import numpy as np

from sim.engine.state import Ended
from sim.errors import RunFailed
from sim.world.parameters import Parameters
from sim.world.population import CLIENT_SHIFT

ROUNDING = 1e-9


class Member(NamedTuple):
    """A first send that left with others: the request_id of the first of them, and its own."""

    transmission: int
    request_id: int
    decided: float
    sent: float
    reached: float


class TransmissionAudit:
    """Recounts transmissions once all that may be in them have ended; what it depends on is kept with
    checkpoints. members: those not yet recounted."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters, self._group = parameters, parameters.clients.group
        self._batches = np.array([batch is not None for batch in parameters.batches])
        self.members: list[tuple[int, int, float, float, float]] = []

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
            sends["transmission"],
            *(rows[name][row] for name in ("request_id", "decided")),
            *(sends[name] for name in ("sent", "reached")),
        )
        self.members += zip(*(column[together].tolist() for column in columns), strict=True)
        found = [Member(*one) for one in sorted(self.members)]
        for name, members in groupby(found, key=lambda one: one.transmission):
            known = [one for one in members if one.sent < open_since]
            if known:
                self._recount(name, known)
        self.members = [(*one,) for one in found if one.sent >= open_since]

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
