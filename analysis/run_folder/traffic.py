"""The traffic that a summary speaks about: what arrived after the warm-up, as columns ready to count.
Stands between the run folder and the metrics, so that each metric is a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.heap import give_back
from analysis.run_folder.arrivals import Arrivals, arrays_of
from analysis.run_folder.kept_rows import refuse_rowless
from analysis.run_folder.lean_requests import read_lean
from analysis.run_folder.outages import find_outages, seconds_touched
from analysis.run_folder.provenance import in_one_line
from analysis.run_folder.run import Run
from analysis.statistics.cells import numbered
from analysis.statistics.clusters import Clusters, clusters
from analysis.statistics.pieces import AT_ONCE
from analysis.statistics.room import files_of, let_go, rows_of
from analysis.statistics.scattered import Scattered

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
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
class Traffic(Arrivals):
    """The same with what became of them.

    everything: all requests of the run, columns as `read_lean` gives them, in order of arrival; `requests`
    are those that count; seconds: the columns of the time line after the warm-up, (seconds,).
    """

    everything: pd.DataFrame
    seconds: Mapping[str, NDArray[Any]]
    clusters: Clusters | Scattered

    @property
    def cells(self) -> Clusters:
        """The requests cell by cell, however many: what two runs are compared by."""
        return self.clusters if isinstance(self.clusters, Clusters) else clusters(*self._whom())

    def _whom(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Whose requests these are, about which base samples, and the codes of their groups; all (n,)."""
        return self.column("client_id"), self.column("base_id"), self.codes("group")[0]

    @property
    def seconds_in_outages(self) -> Mask:
        """Which seconds of the time line some outage touches, (seconds,)."""
        return seconds_touched(self.outages, self.seconds["at_s"])

    def only(self, rows: NDArray[np.int32]) -> Traffic:
        """Some of the requests, by their places (k,) ascending, with the columns NEEDED_OF_PARTS alone: as
        much work and memory as they are many, however many there are in all."""
        if rows.size == self.count:
            return self
        needed = {name: self.columns[name] for name in NEEDED_OF_PARTS if name in self.columns}
        part = replace(self, columns=rows_of(needed, rows), clusters=self.clusters.only(rows))
        if rows.size > AT_ONCE:
            self.let_go()
        return part

    def let_go(self) -> None:
        """What of a large run lies in files need not be in memory until somebody looks at it, nor what was
        made of it to count."""
        let_go(self._columns_in_files)
        if self.count > AT_ONCE:
            give_back()

    @cached_property
    def _columns_in_files(self) -> list[NDArray[Any]]:
        arrays = (getattr(values, "codes", values) for values in self.columns.values())
        return [one for one in (*arrays, *self.clusters.arrays) if files_of([one])]

    @cached_property
    def told(self) -> dict[bytes, dict[str, Any]]:
        """What was found out of parts of the traffic, by which requests these are; empty at first."""
        return {}

    def is_cause(self, name: str) -> Mask:
        return self.is_named("server_cause", name)

    def is_answered_by(self, name: str) -> Mask:
        return self.is_named("answered_by", name)

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
        own = self.columns.get("c_e")
        return float(self.run.scenario["costs"]["c_e"]) if own is None else own.astype(np.float64, copy=False)

    @property
    def paid(self) -> Floats:
        """What the charged sends of each request cost together, (n,); options have costs of their own."""
        told = self.columns.get("paid")
        charged = self.column("charged").astype(np.float64, copy=False)
        return np.asarray(self.c_e * charged if told is None else told.astype(np.float64, copy=False))


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
        everything, whom = read_lean(run, skipped)
        every = arrays_of(everything)
        first = int(np.searchsorted(every["arrived_at_s"], run.warm_up_s))
        requests = {name: values[first:] for name, values in every.items()}
        told = run.columns_of("timeline")
        seconds = {name: values[told["at_s"] >= run.warm_up_s] for name, values in told.items()}
        traffic = Traffic(run, requests, find_outages(run), everything, seconds, whom)
        traffic.let_go()
        return traffic


def ratio(part: float | np.generic, whole: float | np.generic) -> float | None:
    """part / whole, or None where there is nothing to divide by."""
    return float(part) / float(whole) if float(whole) > 0 else None


def share(hits: Mask, among: Mask) -> float | None:
    """The share of `hits` among the requests in `among`, without an interval."""
    return ratio((hits & among).sum(), among.sum())
