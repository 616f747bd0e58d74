"""How often a replica that has room for some of its models must bring one in, and what the wait is then.
One of the laws of this package; independent requests, the models least recently used go out."""

from __future__ import annotations

from itertools import permutations
from math import comb, factorial, sqrt
from typing import Any

from analysis.run_folder.own_work import has_work_of_traces
from analysis.run_folder.run import Run
from analysis.run_folder.servers import swaps
from analysis.run_folder.traffic import Traffic
from analysis.theory.pipelines import (
    MOST_BUSY,
    MOST_ERROR,
    SETTLES,
    is_plain,
    is_simple,
    of_each_server,
    takes_alone_s,
)
from analysis.theory.prediction import Floats, Law, Prediction, mean_over_time, widened
from analysis.theory.queues import endless_queue, sampling_error_of_wait
from analysis.theory.service_laws import Service
from analysis.theory.streams import Stream, streams_of
from sim.results.columns_by_run import LOADS

MOST_ORDERS = 10_000  # in which models may lie in memory


def predict(traffic: Traffic) -> list[Prediction] | None:
    """Of each server that swaps the share of requests whose model comes in, the mean time that one keeps the
    replica, and the mean wait where all models are asked alike."""
    run, streams = traffic.run, streams_of(traffic)
    if not any(map(swaps, run.servers.values())) or streams is None or not all(map(is_plain, streams)):
        return None
    if run.has_work_of_samples or has_work_of_traces(run) or run.outages_asked or not run.keeps_rows:
        return None
    if run.lends_replicas:
        return None
    found: list[Prediction] = []
    for place, (name, server) in enumerate(run.servers.items()):
        mine = [one for one in streams if run.options[one.name][0]["server"] == name]
        takes = {takes_alone_s(run, server, one) for one in mine}
        if not swaps(server) or len(takes) != 1 or None in takes:
            continue
        if is_simple(server) and server["discipline"] == "fifo" and server["switch"] is None:
            seen = of_each_server(run, LOADS.name)[place]
            found += _of_server(run, name, mine, float(takes.pop() or 0.0), seen)
    return found or None


def share_of_loads(shares: list[float], room: int) -> float:
    """P(the model of a request is not in memory), which has room for so many: King (1971), models asked
    independently in these shares, the least recently used out first; 1 − room/M if all are asked alike.

    Models lie in memory in the order (i1 … ik) of their last use with P = Π p_ij/(1 − p_i1 − … − p_i(j−1)).
    """
    missed = 0.0
    for order in permutations(shares, room):
        chance, left = 1.0, 1.0
        for share in order:
            chance *= share / left
            left -= share
        missed += chance * left
    return missed


def service_with_loads(takes_s: float, load_s: float, share: float) -> tuple[float, float]:
    """Mean and variation of a constant service before which a load comes with this probability."""
    mean_s = takes_s + load_s * share
    return mean_s, load_s * sqrt(share * (1 - share)) / mean_s


def _of_server(
    run: Run, name: str, streams: list[Stream], takes_s: float, seen: tuple[Floats, ...]
) -> list[Prediction]:
    server, to_s = run.servers[name], run.horizon_s
    rates: dict[str, float] = {}
    for one in streams:
        model = run.options[one.name][0]["model"]
        rates[model] = rates.get(model, 0.0) + one.mean_first_sends_hz(run.warm_up_s, to_s)
    rate_hz, room = sum(rates.values()), room_for(run, server, list(rates))
    if room is None or not rate_hz:
        return []
    shares = [rate / rate_hz for rate in rates.values()]
    share = share_of_loads(shares, room)
    mean_s, cv = service_with_loads(takes_s, float(server["load_s"]), share)
    if not 0 < rate_hz * mean_s < MOST_BUSY:
        return []
    from_s = run.warm_up_s + SETTLES * mean_s / (1 - (rate_hz * mean_s) ** 0.5) ** 2
    error = sampling_error_of_wait(rate_hz, 1, mean_s, Service(mean_s, 0.0, cv), to_s - from_s)
    if from_s >= to_s or error > MOST_ERROR:
        return []
    reached, started, finished, loads = seen
    found = [
        Prediction("loads", name, "share", share, mean_over_time(loads, reached, from_s, to_s)),
        Prediction(
            "mean service", name, "s", mean_s, mean_over_time(finished - started, reached, from_s, to_s)
        ),
    ]
    queue = endless_queue(rate_hz, 1, mean_s, cv)
    if queue is not None and max(shares) - min(shares) < 1e-9:
        waited = mean_over_time(started - reached, reached, from_s, to_s)
        wait = Prediction("mean wait", name, "s", queue.wait_s, widened(waited, error * queue.wait_s))
        found.append(wait)
    return [one for one in found if one.agrees is not None]


def room_for(run: Run, server: dict[str, Any], asked: list[str]) -> int | None:
    """How many models fit into memory, where all take alike and are asked for, and not all of them fit."""
    known = run.scenario["models"]
    takes = {float(known[name]["memory_bytes"]) for name in server["models"] or known}
    if len(takes) > 1 or 0.0 in takes or set(asked) != set(server["models"] or known):
        return None
    room = int(server["memory_bytes"] // takes.pop())
    orders = comb(len(asked), room) * factorial(room)
    return room if room < len(asked) and orders <= MOST_ORDERS else None


LAW = Law(
    title="Models that take turns in memory",
    formula="P(load) = Σ over the orders (i1 … ik) of models in memory Π p_ij/(1 − p_i1 − … − p_i(j−1)) · "
    "(1 − Σ p_ij), which is 1 − k/M for M models asked alike, of which k fit; E[S] = s + load_s·P(load); "
    "asked alike, each request loads independently of the others, so the wait is that of M/G/1 with "
    "E[S²] = s² + P(load)·(2·s·load_s + load_s²): λE[S²]/(2(1 − λE[S]))",
    assumes="steady Poisson requests of groups with one option each, no retries, breakers or outages; a "
    "server of one replica without batches that serves whoever comes, in order and in constant time, in time "
    "or not; models that take the same memory, all of them asked for",
    source="King, Analysis of demand paging algorithms (1971); Pollaczek and Khinchine",
    fails="it says no wait where models are not asked alike: what comes after a load is then more often "
    "another load",
    predict=predict,
    knows=frozenset({"loads", "servers", "options"}),
)
