"""Arrivals replayed from a file: read as the run goes on, a batch at a time.
The file passed the checks of `sim.scenario.files.traces`; here its times are scaled and bent by the shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.scenario.files.requests_of_traces import NOBODY, NONE, Requests, Trace, joined
from sim.scenario.files.traces import read_trace
from sim.streams import Draws
from sim.world.arrivals.processes import Carried, Columns, Drawn, Instants, covering
from sim.world.arrivals.renewals import never_back

if TYPE_CHECKING:
    from sim.registry.shapes import Shape


class TraceGroup(Carried):
    """The requests of a trace, at operational time `time` · time_scale.

    Where the file names no client, a request is dealt to one: uniform, keyed by (group, request of the
    group in the file). Kept: how many requests have arrived, and when the latest did.
    """

    KEPT = ("arrived", "latest_s")

    def __init__(self, seed: int, trace: Trace, shape: Shape, first: int, place: int) -> None:
        self._trace, self._scale, self._first, self._place = trace, trace.time_scale, first, place
        self._deal = Draws(seed, "dealt")
        self._shape, self._inverse = shape, shape.inverse()
        self._batches: Iterator[Requests] = iter(())
        self._read, self._ahead = -1, NONE  # rows given by the reader; those not used
        super().__init__()

    def begin(self) -> None:
        self.arrived, self.latest_s = np.zeros(1, dtype=np.int64), np.zeros(1)

    def _advance(self, end_s: float) -> Drawn:
        self._seek()
        arrived = int(self.arrived[0])
        x = self._ahead_until(covering(self._shape, end_s))
        at = never_back(self._inverse(x), np.zeros(len(x), dtype=np.int64), self.latest_s)
        count = int(np.searchsorted(at, end_s))
        if count:
            self.latest_s = at[count - 1 : count].copy()
        found = self._ahead.part(slice(count))
        client = found.client
        if (client == NOBODY).any():
            client = np.where(client == NOBODY, self._dealt(arrived, count), client)
        self._ahead = self._ahead.part(slice(count, None))
        self.arrived = self.arrived + count
        order = np.argsort(client, kind="stable")  # they are in order of time
        told: Columns = {"trace_row": found.row, "sample": found.sample, "work": found.work}
        return Drawn(
            at[:count][order],
            (self._first + client[order]).astype(np.int32),
            {name: np.asarray(column)[order] for name, column in told.items()},
        )

    def _dealt(self, arrived: int, count: int) -> NDArray[np.int64]:
        rows = np.arange(arrived, arrived + count)
        return (self._deal.many(rows, self._place) * self._trace.clients).astype(np.int64)

    def _seek(self) -> None:
        """Puts the reader where `arrived` stands: where it already is, but after a restart."""
        arrived = int(self.arrived[0])
        if self._read - len(self._ahead.at_s) == arrived:
            return
        self._batches, self._read, self._ahead = read_trace(self._trace), 0, NONE
        for batch in self._batches:
            self._read += len(batch.at_s)
            if self._read >= arrived:
                self._ahead = batch.part(slice(len(batch.at_s) - (self._read - arrived), None))
                break

    def _ahead_until(self, until: float) -> Instants:
        """Operational times of the requests ahead that come before `until`; fetches them."""
        parts = [self._ahead]
        while not len(parts[-1].at_s) or parts[-1].at_s[-1] * self._scale < until:
            batch = next(self._batches, None)
            if batch is None:
                break
            self._read += len(batch.at_s)
            parts.append(batch)
        self._ahead = joined([part for part in parts if len(part.at_s)] or parts[:1])
        x = self._ahead.at_s * self._scale
        return x[: np.searchsorted(x, until)]


def told_of(drawn: Drawn) -> Columns:
    """What a trace says of requests that were drawn; of those of another process, that it says nothing."""
    n = len(drawn.at_s)
    nothing = {"trace_row": np.full(n, -1), "sample": np.full(n, -1, np.int32), "work": np.full(n, np.nan)}
    return nothing if drawn.told is None else drawn.told
