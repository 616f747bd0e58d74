"""Who gets how much of a server that is asked for more than it can do: shares under `fifo` and under `fair`.
One of the laws of this package; applies to bursts and to lasting overload behind an endless queue."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import inf

import numpy as np

from analysis.run_folder.files import part_paths, read_table
from analysis.run_folder.traffic import Traffic
from analysis.theory.prediction import Floats, Law, Prediction, around, share_of
from analysis.theory.queues import max_min
from analysis.theory.service_laws import Service, service_law
from analysis.theory.streams import Stream, factor, streams_of, timer_s, transfers_s
from sim.results import columns

LEAST_S = 20.0
ERROR = 0.05  # relative, of the demands: near the capacity chance counts for more than rates


def predict(traffic: Traffic) -> list[Prediction] | None:
    """Starts per second, and the share answered in time, of each group in each overloaded stretch."""
    run, streams = traffic.run, streams_of(traffic)
    server, service = run.server, service_law(run)
    if streams is None or service is None or not _is_plain(traffic, streams):
        return None
    capacity = int(server["replicas"]) / service.of_full_batches_s(int(server["max_batch"]))
    predictions = []
    for span in _bursts(traffic, streams, capacity):
        demands = [client_demands_hz(traffic, one, span) for one in streams]
        cuts = np.cumsum([part.size for part in demands])[:-1]
        # What 5% more or less of everybody's requests make of it is the error of the fluid.
        cases = []
        for times in (1.0, 1 - ERROR, 1 + ERROR):
            asked = times * np.concatenate(demands)
            given = shares(server["discipline"], asked, capacity)
            cases.append(list(zip(np.split(asked, cuts), np.split(given, cuts), strict=True)))
        predictions += _compare(traffic, streams, service, span, cases)
    return predictions or None


def client_demands_hz(traffic: Traffic, stream: Stream, span: tuple[float, float]) -> Floats:
    """First sends per second of each client of a group, (clients,): the group's, by what share each sends."""
    requests = traffic.everything
    mine = np.asarray((requests["group"] == stream.name) & requests["is_decided"], dtype=bool)
    sent = requests[mine].groupby("client_id")["deferred"].mean().to_numpy(dtype=float)
    total_hz = stream.mean_first_sends_hz(*span)
    alike = np.full(stream.clients, 1 / stream.clients)
    is_known = len(stream.shares) > 1 and sent.size == stream.clients and sent.sum() > 0
    return np.asarray(total_hz * (sent / sent.sum() if is_known else alike))


def shares(discipline: str, demands: Floats, capacity: float) -> Floats:
    """What each client gets, (n,), of a server that all ask for too much: under `fifo` in proportion to what
    it sends, under `fair` its max-min share."""
    if discipline == "fifo":
        return np.asarray(demands * min(1.0, capacity / float(demands.sum())))
    return max_min(demands, capacity)


def _is_plain(traffic: Traffic, streams: list[Stream]) -> bool:
    server = traffic.run.server
    once = all(not one.group["retry"] or int(one.group["retry"]["attempts"]) == 1 for one in streams)
    poisson = all(one.group["arrivals"]["process"]["kind"] == "poisson" for one in streams)
    return bool(
        once
        and poisson
        and all(one.group["arrivals"]["shape"]["kind"] in ("constant", "flash_crowd") for one in streams)
        and all(one.group["breaker"] is None for one in streams)
        and server["discipline"] in ("fifo", "fair")
        and server["queue_limit"] is None
        and server["admission"]["kind"] == "none"
        and server["autoscaling"] is None
        and not server["drop_expired"]
        and not traffic.outages
    )


def _bursts(traffic: Traffic, streams: list[Stream], capacity: float) -> Iterator[tuple[float, float]]:
    """The stretches of constant rates that ask for more than the capacity, each after a calm one."""
    shapes = [one.group["arrivals"]["shape"] for one in streams]
    crowds = [shape for shape in shapes if shape["kind"] == "flash_crowd"]
    edges = {float(s["at_s"]) for s in crowds} | {float(s["at_s"]) + float(s["for_s"]) for s in crowds}
    inner = sorted(at for at in edges if 0 < at < traffic.run.horizon_s)
    was_calm = True
    for from_s, to_s in pairwise([0.0, *inner, traffic.run.horizon_s]):
        middle = (from_s + to_s) / 2
        asked = sum(
            one.rate_hz * factor(s, middle) * one.share(middle)
            for one, s in zip(streams, shapes, strict=True)
        )
        if asked > capacity and was_calm and to_s - from_s >= LEAST_S:
            yield from_s, to_s
        was_calm = asked <= 0.95 * capacity


def _compare(
    traffic: Traffic,
    streams: list[Stream],
    service: Service,
    span: tuple[float, float],
    cases: list[list[tuple[Floats, Floats]]],
) -> list[Prediction]:
    """cases: per group what its clients ask and get, first as it is meant, then with less and more asked."""
    served = _starts(traffic, streams, span)
    requests, predictions = traffic.everything, []
    arrived = requests["arrived_at_s"].to_numpy()
    names = requests["group"].to_numpy()
    lasts, when = span[1] - span[0], f"{span[0]:g}–{span[1]:g} s"
    for place, stream in enumerate(streams):
        count = int((served == place).sum())
        starts = around(count / lasts, count / lasts**2)
        where = f"{stream.name}, {when}"
        predictions.append(
            Prediction("sends served per second", where, "1/s", float(cases[0][place][1].sum()), starts)
        )
        if timer_s(stream.group) < inf and cases[0][place][0].sum() > 0:
            batch = int(traffic.run.server["max_batch"])
            spare_s = timer_s(stream.group) - transfers_s(stream.group) - service.mean_s(batch)
            among = (names == stream.name) & (arrived >= span[0]) & (arrived < span[1])
            among &= requests["deferred"].to_numpy(dtype=bool)
            hits = among & np.asarray(requests["outcome"] == "remote")
            expected, *ends = (answered_in_time(*case[place], max(spare_s, 0.0), lasts) for case in cases)
            simulated = share_of(int(hits.sum()), int(among.sum()))
            off = 0.03 + max(abs(end - expected) for end in ends)
            predictions.append(
                Prediction("sends answered in time", where, "share", expected, simulated, margin=off)
            )
    return predictions


def answered_in_time(demands: Floats, given: Floats, spare_s: float, lasts_s: float) -> float:
    """The share of a burst's sends that wait at most `spare_s`, where the waits of a client grow by
    asked/given − 1 a second; demands and given per client, (n,)."""
    asks = demands > 0
    grows = np.maximum(demands[asks] / given[asks] - 1.0, 0.0) * lasts_s
    return float(np.average(spare_s / np.maximum(grows, spare_s), weights=demands[asks]))


def _starts(traffic: Traffic, streams: list[Stream], span: tuple[float, float]) -> Floats:
    """For each send whose service began in [from, to) the place of the group that sent it."""
    place = {stream.name: index for index, stream in enumerate(streams)}
    groups = [np.zeros(0)]
    for path in part_paths(traffic.run.path, "requests", needed=False):
        rows = read_table(path, columns.REQUESTS, ["started_at_s", "group"]).to_pandas()
        inside = (rows["started_at_s"] >= span[0]) & (rows["started_at_s"] < span[1])
        groups.append(rows.loc[inside, "group"].astype("str").map(place).to_numpy(dtype=float))
    return np.concatenate(groups)


LAW = Law(
    "Shares of a server that is asked for too much",
    "fifo: each group gets μ·λ_g/Σλ; fair: each client gets min(λ_c, level), the level at which they sum to "
    "μ; waits grow by (asked/given − 1) a second",
    "an overload that begins with an empty queue, no limit on the queue, no retries, no outage; capacity μ "
    "is that of full batches",
    "Bertsekas and Gallager, Data Networks, 6.5.2 (max-min fairness); a fluid queue for the waits",
    "where demands are close to the capacity: then chance makes the waits, and the margin says so",
    predict,
    knows=frozenset({"heads"}),
)
