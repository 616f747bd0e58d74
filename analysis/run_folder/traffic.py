"""The traffic that a summary speaks about: what arrived after the warm-up, as columns ready to count.
Stands between the run folder and the metrics, so that each metric is a few lines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.run_folder.kept_rows import refuse_rowless
from analysis.run_folder.lean_requests import read_lean
from analysis.run_folder.outages import (
    Outage,
    clients_hit,
    edges,
    find_outages,
    hits,
    in_any,
    on_own_outage,
    seconds_touched,
)
from analysis.run_folder.provenance import in_one_line
from analysis.run_folder.run import Run
from analysis.run_folder.whom import clients_and_samples
from analysis.statistics.cells import numbered
from analysis.statistics.clusters import Clusters, clusters
from analysis.statistics.percentiles import Latencies, latencies
from analysis.statistics.pieces import AT_ONCE
from analysis.statistics.room import columns_of, files_of, let_go, rows_of
from analysis.statistics.scattered import Scattered, estimated

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Reach = int | tuple[str, ...]
NEEDED_OF_PARTS = (
    "client_id",
    "sample_id",
    "group",
    "held_out",
    "arrived_at_s",
    "deferred",
    "is_decided",
    "attempts",
    "charged",
    "outcome",
    "answered_by",
    "final_s",
    "in_time",
    "correct",
    "client_right",
    "c_e",
    "paid",
)


@dataclass(frozen=True)
class Arrivals:
    """Requests that arrived in [warm-up, horizon), in this order, and the outages that they met.

    requests: at least client_id, group, arrived_at_s, outcome, first_s and final_s of `read_lean`.
    """

    run: Run
    requests: pd.DataFrame
    outages: tuple[Outage, ...]

    def is_outcome(self, name: str) -> Mask:
        return self._is("outcome", name)

    def is_of_group(self, name: str) -> Mask:
        return self._is("group", name)

    def column(self, name: str) -> NDArray[Any]:
        """A column of `requests` as it lies there, (n,), for nobody to change; of names `pd.Categorical`."""
        if name not in self._columns:
            whole: Any = self.requests[name].array
            self._columns[name] = whole if hasattr(whole, "codes") else whole.to_numpy(copy=False)
        return self._columns[name]

    @cached_property
    def _columns(self) -> dict[str, NDArray[Any]]:
        return {}

    def _is(self, column: str, name: str) -> Mask:
        """Where a column of names has this one, (n,)."""
        if column not in self._codes:
            names: Any = self.column(column)
            values = names if isinstance(names, pd.Categorical) else pd.Categorical(names)
            self._codes[column] = values.codes, list(values.categories)
        codes, names = self._codes[column]
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
            self._hit[outage.number] = np.isin(self.requests["client_id"].to_numpy(), hit)
        return self._hit[outage.number]

    def _asks(self, servers: tuple[str, ...]) -> Mask:
        """Who may ask one of these servers."""
        found = np.zeros(len(self.requests), dtype=bool)
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


@dataclass(frozen=True)
class Traffic(Arrivals):
    """The same with what became of them.

    everything: all requests of the run, columns as `read_lean` gives them, in order of arrival; `requests`
    are those that count; timeline: the seconds after the warm-up.
    """

    everything: pd.DataFrame
    timeline: pd.DataFrame
    clusters: Clusters | Scattered

    @property
    def cells(self) -> Clusters:
        """The requests cell by cell, however many: what two runs are compared by."""
        return (
            self.clusters
            if isinstance(self.clusters, Clusters)
            else clusters(*clients_and_samples(self.requests))
        )

    @property
    def seconds_in_outages(self) -> Mask:
        """Which seconds of the time line some outage touches, (seconds,)."""
        return seconds_touched(self.outages, self.timeline["at_s"].to_numpy(dtype=float))

    def only(self, rows: NDArray[np.int32]) -> Traffic:
        """Some of the requests, by their places (k,) ascending, with the columns NEEDED_OF_PARTS alone: as
        much work and memory as they are many, however many there are in all."""
        if rows.size == len(self.requests):
            return self
        needed = [name for name in NEEDED_OF_PARTS if name in self.requests]
        columns = rows_of({name: self.column(name) for name in needed}, rows)
        part = replace(self, requests=pd.DataFrame(columns, copy=False), clusters=self.clusters.only(rows))
        part._columns.update(columns)
        if rows.size > AT_ONCE:
            self.let_go()
        return part

    def let_go(self) -> None:
        """What of a large run lies in files need not be in memory until somebody looks at it."""
        let_go(self._columns_in_files)

    @cached_property
    def _columns_in_files(self) -> list[NDArray[Any]]:
        columns = columns_of(self.everything) + columns_of(self.requests)
        return [one for one in (*columns, *self.clusters.arrays) if files_of([one])]

    @cached_property
    def told(self) -> dict[bytes, dict[str, Any]]:
        """What was found out of parts of the traffic, by which requests these are; empty at first."""
        return {}

    def is_cause(self, name: str) -> Mask:
        return self._is("server_cause", name)

    def is_answered_by(self, name: str) -> Mask:
        return self._is("answered_by", name)

    @property
    def held_out(self) -> Mask:
        """Held-out requests with a known outcome: the mask of every accuracy, and of what is beside it."""
        return np.asarray(self.known & self.column("held_out"))

    def distinct(self, column: str) -> int:
        """How many different values `column` has among the held-out requests."""
        return int(numbered(self.column(column)[self.held_out])[0].size)

    @property
    def training_half(self) -> Mask:
        """Requests on the training half of the traffic samples, again with a known outcome."""
        return np.asarray(self.known & ~self.column("held_out"))

    @property
    def correct(self) -> NDArray[Any]:
        """Which requests got a right answer; of graded answers how good it was, 0 to 1, 0 without any."""
        return self.column("correct")

    @property
    def c_e(self) -> float | Floats:
        """What a charged send costs: one number, or each request's own (n,), to the option asked last."""
        own = self.requests.get("c_e")
        return float(self.run.scenario["costs"]["c_e"]) if own is None else own.to_numpy(dtype=float)

    @property
    def paid(self) -> Floats:
        """What the charged sends of each request cost together, (n,); options have costs of their own."""
        told = self.requests.get("paid")
        charged = self.column("charged").astype(np.float64, copy=False)
        return np.asarray(self.c_e * charged if told is None else told.to_numpy(dtype=float))


def traffic_of(run: Run, skipped: list[str] | None = None) -> Traffic:
    """The part of a run after its warm-up; `skipped` as in `read_lean`.

    Raises BadInput where the run has kept no rows of requests.
    """
    if skipped is None:
        refuse_rowless(run)
    return traffic_kept(run, skipped)


def traffic_kept(run: Run, skipped: list[str] | None = None) -> Traffic:
    """The same, without requests where none were kept."""
    with in_one_line(run.warnings):
        everything = read_lean(run, skipped)
        first = int(np.searchsorted(everything["arrived_at_s"].to_numpy(), run.warm_up_s))
        requests = everything.iloc[first:].reset_index(drop=True)
        whom = estimated(*clients_and_samples(requests))
        timeline = run.timeline[run.timeline["at_s"] >= run.warm_up_s].reset_index(drop=True)
        traffic = Traffic(run, requests, find_outages(run), everything, timeline, whom)
        traffic.let_go()
        return traffic


def ratio(part: float | np.generic, whole: float | np.generic) -> float | None:
    """part / whole, or None where there is nothing to divide by."""
    return float(part) / float(whole) if float(whole) > 0 else None


def share(hits: Mask, among: Mask) -> float | None:
    """The share of `hits` among the requests in `among`, without an interval."""
    return ratio((hits & among).sum(), among.sum())
