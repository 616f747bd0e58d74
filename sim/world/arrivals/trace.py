"""Arrivals replayed from a file: read as the run goes on, a batch at a time.
The file passed the checks of `sim.scenario.files.traces`; here its times are scaled and bent by the shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.scenario.files.traces import Requests, Trace, read_trace
from sim.streams import Draws
from sim.world.arrivals.processes import Carried, Drawn, Instants, covering, sort
from sim.world.arrivals.renewals import never_back

if TYPE_CHECKING:
    from sim.registry.shapes import Shape


class TraceGroup(Carried):
    """The requests of a trace, at operational time `time` · time_scale.

    Where the file names no client, each request is dealt to one: uniform, keyed by (group, request of the
    group in the file). Kept: how many requests have arrived, and when the latest did.
    """

    KEPT = ("arrived", "latest_s")

    def __init__(self, seed: int, trace: Trace, shape: Shape, first: int, place: int) -> None:
        self._trace, self._scale, self._first, self._place = trace, trace.time_scale, first, place
        self._deal = Draws(seed, "dealt")
        self._shape, self._inverse = shape, shape.inverse()
        self._batches: Iterator[Requests] = iter(())
        self._read, self._ahead = -1, Requests(np.empty(0), None)  # rows given by the reader; those not used
        super().__init__()

    def begin(self) -> None:
        self.arrived, self.latest_s = np.zeros(1, dtype=np.int64), np.zeros(1)

    def _advance(self, end_s: float) -> Drawn:
        self._seek()
        until, arrived = covering(self._shape, end_s), int(self.arrived[0])
        x, client = self._ahead_until(until)
        at = never_back(self._inverse(x), np.zeros(len(x), dtype=np.int64), self.latest_s)
        count = int(np.searchsorted(at, end_s))
        if count:
            self.latest_s = at[count - 1 : count].copy()
        if client is None:
            rows = np.arange(arrived, arrived + count)
            client = (self._deal.many(rows, self._place) * self._trace.clients).astype(np.int64)
        self._ahead = _behind(self._ahead, count)
        self.arrived = self.arrived + count
        return sort(at[:count], (self._first + client[:count]).astype(np.int32))

    def _seek(self) -> None:
        """Puts the reader where `arrived` stands: where it already is, but after a restart."""
        arrived = int(self.arrived[0])
        if self._read - len(self._ahead.at_s) == arrived:
            return
        self._batches, self._read, self._ahead = read_trace(self._trace), 0, Requests(np.empty(0), None)
        for batch in self._batches:
            self._read += len(batch.at_s)
            if self._read >= arrived:
                self._ahead = _behind(batch, len(batch.at_s) - (self._read - arrived))
                break

    def _ahead_until(self, until: float) -> tuple[Instants, NDArray[np.int64] | None]:
        """Operational times and clients of the requests ahead that come before `until`."""
        parts = [self._ahead]
        while not len(parts[-1].at_s) or parts[-1].at_s[-1] * self._scale < until:
            batch = next(self._batches, None)
            if batch is None:
                break
            self._read += len(batch.at_s)
            parts.append(batch)
        parts = [part for part in parts if len(part.at_s)] or parts[:1]
        at_s = np.concatenate([part.at_s for part in parts])
        named = [part.client for part in parts if part.client is not None]
        self._ahead = Requests(at_s, np.concatenate(named) if named else None)
        x = at_s * self._scale
        x = x[: np.searchsorted(x, until)]
        return x, self._ahead.client


def _behind(requests: Requests, count: int) -> Requests:
    """All but the first `count`."""
    return Requests(requests.at_s[count:], None if requests.client is None else requests.client[count:])
