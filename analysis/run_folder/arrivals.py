"""The requests of a run as columns, and the outages that they met.
Below the traffic, and what reads a few of its columns alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.run_folder.outages import Outage, clients_hit, edges, hits, in_any, on_own_outage
from analysis.run_folder.run import Run
from analysis.statistics.percentiles import Latencies, latencies

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Reach = int | tuple[str, ...]


@dataclass(frozen=True)
class Arrivals:
    """Requests that arrived in [warm-up, horizon), in this order, and the outages that they met.

    columns: at least client_id, group, arrived_at_s, outcome, first_s and final_s of `read_lean`, as arrays
    (n,) that nobody changes; of names `pd.Categorical`.
    """

    run: Run
    columns: Mapping[str, Any]
    outages: tuple[Outage, ...]

    @cached_property
    def requests(self) -> pd.DataFrame:
        """The same as a frame."""
        return pd.DataFrame(dict(self.columns), copy=False)

    @property
    def count(self) -> int:
        """How many requests these are."""
        return len(next(iter(self.columns.values())))

    def is_outcome(self, name: str) -> Mask:
        return self.is_named("outcome", name)

    def is_of_group(self, name: str) -> Mask:
        return self.is_named("group", name)

    def column(self, name: str) -> NDArray[Any]:
        """A column of `requests` as it lies there, (n,), for nobody to change; of names `pd.Categorical`."""
        values: NDArray[Any] = self.columns[name]
        return values

    def codes(self, column: str) -> tuple[NDArray[Any], list[str]]:
        """A column of names as codes, (n,), and the names."""
        if column not in self._codes:
            names: Any = self.column(column)
            values = names if isinstance(names, pd.Categorical) else pd.Categorical(names)
            self._codes[column] = values.codes, list(values.categories)
        return self._codes[column]

    def is_named(self, column: str, name: str) -> Mask:
        """Where a column of names has this one, (n,)."""
        codes, names = self.codes(column)
        return np.asarray(codes == (names.index(name) if name in names else len(names)))

    @cached_property
    def _codes(self) -> dict[str, tuple[NDArray[Any], list[str]]]:
        return {}

    @property
    def known(self) -> Mask:
        """Whose outcome is known: all but those in flight at the horizon."""
        return ~self.is_outcome("in_flight")

    @cached_property
    def on_own_outage(self) -> Mask:
        """Which requests came while an outage of their own client's link alone was on."""
        return on_own_outage(self.run, self.column("client_id"), self.arrived_at_s)

    @cached_property
    def in_outages(self) -> Mask:
        """Which requests came in an outage: of anything shared, or of their own client's link."""
        return np.asarray(in_any(self.outages, self.arrived_at_s) | self.on_own_outage)

    @cached_property
    def is_affected(self) -> Mask:
        """Which of those it could touch: an outage of links is none to those whose links it does not hit, one
        of a server none to those who may not ask it."""
        touched = self.on_own_outage.copy()
        for outages in self.alike.values():
            touched |= in_any(outages, self.arrived_at_s) & self.could_touch(outages[0])
        return touched

    @cached_property
    def alike(self) -> dict[Reach, tuple[Outage, ...]]:
        """The outages that could touch the same requests, by `reach`."""
        found: dict[Reach, list[Outage]] = {}
        for outage in self.outages:
            found.setdefault(self.reach(outage), []).append(outage)
        return {reach: tuple(outages) for reach, outages in found.items()}

    def reach(self, outage: Outage) -> Reach:
        """What tells whom an outage could touch: of links each on its own, of servers which they are."""
        if outage.groups:
            return outage.number
        return tuple(name for name in self.run.servers if hits(self.run, outage, name))

    def next_begin_s(self, at_s: float) -> float:
        """When the next outage begins, from an instant on; inf if none does."""
        later = np.searchsorted(self._begins, at_s)
        return float(self._begins[later]) if later < self._begins.size else np.inf

    @cached_property
    def _begins(self) -> Floats:
        return edges(self.outages)[0]

    def could_touch(self, outage: Outage) -> Mask:
        """Whose requests an outage could touch, whenever they came."""
        reach = self.reach(outage)
        if not isinstance(reach, int):
            return self._asks(reach)
        if outage.number not in self._hit:
            hit = clients_hit(self.run, outage)
            self._hit[outage.number] = np.isin(self.column("client_id"), hit)
        return self._hit[outage.number]

    def _asks(self, servers: tuple[str, ...]) -> Mask:
        """Who may ask one of these servers."""
        found = np.zeros(self.count, dtype=bool)
        for name, options in self.run.options.items():
            if any(one["server"] in servers for one in options):
                found |= self.is_of_group(name)
        return found

    @cached_property
    def _hit(self) -> dict[int, Mask]:
        return {}

    def latencies(self, column: str = "final_s") -> Latencies:
        """Of all requests to their final answer, or to the first (`first_s`)."""
        return latencies(self.arrived_at_s, self.column(column), ~self.known, self.run.horizon_s)

    @property
    def arrived_at_s(self) -> Floats:
        return self.column("arrived_at_s").astype(np.float64, copy=False)


def arrays_of(frame: pd.DataFrame) -> dict[str, Any]:
    """The columns of a frame as they lie there, of names `pd.Categorical`."""
    columns: dict[str, Any] = {str(name): frame[name].array for name in frame}
    return {
        name: values if hasattr(values, "codes") else values.to_numpy(copy=False)
        for name, values in columns.items()
    }
