"""Each server of a run as a queue of its own: what came, waited and was served, second by second.
Between the tables and what is said of load, length and validity; a run with one server has one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.metrics.growth import Growth, growth_of
from analysis.metrics.mean_work import mean_items, mean_work
from analysis.run_folder.arrivals import arrays_of
from analysis.run_folder.kept import kept
from analysis.run_folder.outages import mean_of_steps, replica_steps, seconds_touched
from analysis.run_folder.servers import intake_share, swaps
from analysis.run_folder.traffic import Floats, Traffic
from analysis.statistics.percentiles import quantile
from analysis.statistics.pieces import mean_among
from analysis.statistics.run_length import dispersion_of, relaxation_s

STRETCHES = 50  # in which arrivals are counted, to see how bursty they are
BACKLOG = 2.0  # times the queue's usual high that waits at the end
STABLE, BACKLOGGED, OVERLOADED = VERDICTS = "STABLE", "BACKLOGGED", "OVERLOADED"


@dataclass(frozen=True)
class OneServer:
    """A server after the warm-up.

    waiting, busy, usable: means per second; sends: first sends that went to it; is_quiet: whether no outage
    of anything touches the second; all (seconds,). asked: as the scenario has it. work: what its service
    times are multiplied by on average; items: how many a request has on average. measured_s: replica time
    of a request as it was, 0 without any. replicas: their mean. growth: the trend of what waits at the end;
    None where nothing shows it.
    """

    name: str
    asked: dict[str, Any]
    waiting: Floats
    busy: Floats
    usable: Floats
    sends: Floats
    is_quiet: NDArray[np.bool_]
    work: float
    items: float
    measured_s: float
    replicas: float
    growth: Growth | None

    @property
    def is_growing(self) -> bool:
        """Whether what waits still rises at the end: steadily, and by over one round of full batches."""
        growth = self.growth
        return growth is not None and growth.is_steady and growth.rise > self.replicas * self.largest

    @property
    def per_request_s(self) -> float:
        """Replica time of a request in full batches; as it was measured where the scenario has none."""
        law = service_law(self.asked)
        if law is None:
            return self.measured_s
        full_s = float(law.mean_s(self.largest * self.items)) / self.largest
        return full_s * self.work * intake_share(self.asked)

    @property
    def largest(self) -> int:
        return int(self.asked["max_batch"])

    @property
    def load(self) -> float | None:
        """First sends outside outages times `per_request_s`, over the replicas there are; None where no
        second is without outage."""
        usable = float(self.usable[self.is_quiet].sum())
        return float(self.sends[self.is_quiet].sum()) * self.per_request_s / usable if usable else None

    @property
    def forgets_s(self) -> float:
        """The relaxation time at the load outside outages; 0 where nothing is sent to it."""
        load = self.load
        if load is None or load == 0:
            return 0.0
        law, per_request_s = service_law(self.asked), self.per_request_s
        batch_s = (
            per_request_s * self.largest
            if law is None
            else law.mean_s(self.largest * self.items) * self.work * intake_share(self.asked)
        )
        stretch = max(1, self.sends.size // STRETCHES)
        counts = self.sends[: self.sends.size // stretch * stretch].reshape(-1, stretch).sum(axis=1)
        replicas = max(1.0, float(self.usable[self.is_quiet].mean()))
        return relaxation_s(
            load,
            per_request_s / replicas,
            batch_s,
            1.0 if law is None else law.cv,
            self.largest,
            dispersion_of(counts),
            self.asked["queue_limit"],
        )

    @property
    def verdict(self) -> str:
        """In what state it is.

        OVERLOADED: more is sent outside outages than can be served. BACKLOGGED: less, but at the end more
        waits than is usual outside outages, as in one or after it, or the queue still grows. STABLE: neither.
        """
        load = self.load
        if load is not None and load >= 1:
            return OVERLOADED
        if self.is_growing:
            return BACKLOGGED
        last = max(5, self.waiting.size // 20)
        if self.waiting.size < 3 * last:
            return STABLE
        quiet = self.is_quiet[:-last]
        usual = quantile(self.waiting[:-last][quiet] if quiet.any() else self.waiting[:-last], 0.95)
        round_of_batches = float(self.asked["replicas"]) * float(self.asked["max_batch"])
        is_more = self.waiting[-last:].mean() > BACKLOG * usual + round_of_batches
        return BACKLOGGED if is_more else STABLE


def service_law(asked: dict[str, Any]) -> Any:
    """The mean and variation of a server's service; None for times from a file, and where models come in."""
    if swaps(asked):
        return None
    from analysis.theory.queues import service_of  # noqa: PLC0415  (the laws are told by these metrics)

    return service_of(asked["service"])


@kept
def each_server(traffic: Traffic) -> list[OneServer]:
    """The servers of a run, in its order."""
    run, at_s = traffic.run, traffic.seconds["at_s"]
    is_quiet = ~seconds_touched(traffic.outages, at_s)
    sent = traffic.column("attempts") > 0
    took_s = traffic.column("service_s")
    found = []
    for place, (name, asked) in enumerate(run.servers.items()):
        if len(run.servers) == 1:
            seconds, work, mine = traffic.seconds, 1.0, sent
            sends = seconds["first_sends"].astype(float)
        else:
            every = run.seconds_of_servers
            seconds = arrays_of(every[(every["server"] == name) & (every["at_s"] >= run.warm_up_s)])
            mine = sent & (traffic.column("first_server") == place)
            came = np.searchsorted(at_s, traffic.arrived_at_s[mine], "right") - 1
            sends = np.bincount(came[came >= 0], minlength=at_s.size).astype(float)
            work = mean_work(traffic, mine)
        items = mean_items(run, traffic.requests, mine) if run.has_sessions else 1.0
        served = mine & (took_s > 0)
        waiting, busy, usable = (
            seconds[column].astype(float, copy=False)
            for column in ("waiting_mean", "busy_replicas_mean", "usable_replicas_mean")
        )
        measured_s = mean_among(took_s, served) if served.any() else 0.0
        replicas = mean_of_steps(replica_steps(run, name), run.warm_up_s, run.horizon_s) or 0.0
        growth = growth_of(waiting, is_quiet, run.observed_s)
        found.append(
            OneServer(
                name, asked, waiting, busy, usable, sends, is_quiet, work, items, measured_s, replicas, growth
            )
        )
    return found


def worst(servers: list[OneServer]) -> OneServer:
    """The one to speak of: of the worst verdict, and of those of the largest load."""
    return max(servers, key=lambda one: (VERDICTS.index(one.verdict), one.load or 0.0))
