"""What the service was like and what it took: latency, goodput, load, queue, work, retries, bytes, cost.
Sections of the summary; each takes the traffic and gives plain numbers, defined in `definitions`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.metrics.each_server import each_server
from analysis.metrics.mean_work import mean_items, mean_work
from analysis.metrics.run_length import seconds_covered, span_of
from analysis.metrics.target_availability import by_target
from analysis.run_folder.kept import kept
from analysis.run_folder.outages import (
    Periods,
    availability_of,
    mean_of_steps,
    own_link_periods,
    replica_steps,
)
from analysis.run_folder.servers import intake_share, swaps
from analysis.run_folder.traffic import Floats, Mask, Traffic, ratio, share
from analysis.statistics.percentiles import (
    LEAST_INDEPENDENT,
    LEVELS,
    Curve,
    Latencies,
    independent,
)
from analysis.statistics.pieces import mean_among
from analysis.statistics.ranked import Ranked
from sim.results.columns import OUTCOMES


def latency_s(traffic: Traffic) -> dict[str, Any]:
    """From arrival to the first and to the final answer, over the requests that arrived."""
    final, first = (traffic.latencies(name) for name in ("final_s", "first_s"))
    relaxations = span_of(traffic).relaxations
    return {
        "first": spread(first, relaxations),
        "final": spread(final, relaxations),
        "by_outcome": {name: spread(final.among(traffic.is_outcome(name)), relaxations) for name in OUTCOMES},
    }


def spread(
    times: Latencies, relaxations: float = np.inf, curve: Curve | Ranked | None = None
) -> dict[str, Any]:
    """How many were answered, their mean, and three percentiles of all that arrived; by their `curve`, where
    it is known.

    A percentile is None where too many are open or without an answer to tell it, or where the requests, in a
    run of so many relaxation times, are worth too few independent ones.
    """
    answered = np.isfinite(times.taken_s)
    count, curve = int(np.count_nonzero(answered)), curve or times.curve
    found: dict[str, Any] = {"n": count, "mean": mean_among(times.taken_s, answered) if count else None}
    for name, level in LEVELS.items():
        worth = min(float(times.taken_s.size), independent(relaxations, level))
        value = curve.at(level)
        is_told = np.isfinite(value) and worth >= LEAST_INDEPENDENT.get(level, 0.0)
        found[name] = value if is_told else None
    return found


def in_time(traffic: Traffic) -> Mask:
    """Which requests were answered by their deadline; one exactly at it is in time."""
    return traffic.column("in_time")


def served_in_time(traffic: Traffic) -> Mask:
    """Which were answered by their deadline by whom the policy asked; a fallback is no such answer."""
    server, client = (traffic.is_answered_by(name) for name in ("server", "client"))
    return np.asarray(in_time(traffic) & np.where(traffic.column("deferred"), server, client), dtype=bool)


def goodput(traffic: Traffic) -> dict[str, Any]:
    """Answers that were of use, per second of virtual time after the warm-up."""
    seconds, on_time = traffic.run.observed_s, in_time(traffic)
    return {
        "correct_in_time_hz": ratio((on_time * traffic.correct).sum(), seconds),
        "answered_in_time_share": share(on_time, traffic.known),
        "served_in_time_share": share(served_in_time(traffic), traffic.known),
        "arrivals_hz": ratio(on_time.size, seconds),
    }


@kept
def load(traffic: Traffic) -> dict[str, Any]:
    """What was asked of the server and how busy that kept it."""
    seconds, weight = traffic.seconds, seconds_covered(traffic)
    quiet = ~traffic.seconds_in_outages
    first_hz = ratio(seconds["first_sends"][quiet].sum(), weight[quiet].sum())
    sent = traffic.column("attempts") > 0
    run = traffic.run
    items = mean_items(run, traffic.requests, sent) if run.has_sessions else 1.0
    per_request_s = seconds_per_request(run.server, items)
    usable = seconds["usable_replicas_mean"]
    offered = None
    if first_hz is not None and per_request_s is not None:
        replicas = float(traffic.run.server["replicas"])
        if traffic.run.server["autoscaling"] is not None:
            replicas = float(np.average(usable[quiet], weights=weight[quiet]))
        offered = ratio(first_hz * per_request_s * mean_work(traffic, sent), replicas)
    elif len(traffic.run.servers) == 1 and swaps(traffic.run.server) and traffic.count:
        offered = each_server(traffic)[0].load
    busy = seconds["busy_replicas_mean"]
    return {
        "first_sends_outside_outages_hz": first_hz,
        "offered": offered,
        "utilisation": ratio((busy * weight).sum(), (np.maximum(usable, busy) * weight).sum()),
    }


def seconds_per_request(server: dict[str, Any], items: float = 1.0) -> float | None:
    """Mean replica time per request of so many items with full batches, base_s/B + per_item_s·items, of a
    pipeline that of a stage; None for a file of unknown mean, or a law that somebody brought, and where
    models come in as well."""
    if swaps(server):
        return None
    service, batch, share = server["service"], float(server["max_batch"]), intake_share(server)
    if service["kind"] == "affine":
        return (float(service["base_s"]) / batch + float(service["per_item_s"]) * items) * share
    time = service.get("time", {})
    mean_s = time.get("mean_s") if isinstance(time, dict) else time
    return None if mean_s is None else float(mean_s) / batch * share


def queue(traffic: Traffic) -> dict[str, Any]:
    """Requests that waited at the server: mean over time and maximum."""
    seconds = traffic.seconds
    if not seconds["at_s"].size:
        return {"mean": None, "max": None}
    mean = np.average(seconds["waiting_mean"], weights=seconds_covered(traffic))
    return {"mean": float(mean), "max": int(seconds["waiting_max"].max())}


def work(traffic: Traffic) -> dict[str, Any]:
    """Replica time spent on this traffic, and the part of it that led to no answer that was given."""
    requeued_s = float(traffic.seconds["requeued_s"].sum())
    service_s, wasted_s = (
        float(traffic.column(name).astype(np.float64, copy=False).sum()) + requeued_s
        for name in ("service_s", "wasted_s")
    )
    return {"service_s": service_s, "wasted_s": wasted_s, "wasted_share": ratio(wasted_s, service_s)}


def retries(traffic: Traffic) -> dict[str, Any]:
    """Attempts per request that was sent at all, in total and for requests that arrived during outages."""
    during = traffic.in_outages
    return {
        "attempts": int(traffic.column("attempts").sum()),
        "amplification": amplification(traffic, np.ones(during.shape, dtype=bool)),
        "amplification_during_outages": amplification(traffic, during),
    }


def amplification(traffic: Traffic, among: Mask) -> float | None:
    attempts = traffic.column("attempts")
    sent = np.count_nonzero((attempts > 0) & among)
    return ratio(attempts.sum(where=among, dtype=np.int64), sent)


def wire(traffic: Traffic) -> dict[str, Any]:
    """Payload bytes sent to the server, every attempt counted that left, and nothing that comes back."""
    sent = traffic.column("bytes_up")
    total = int(sent.sum())
    return {"bytes_up": total, "bytes_up_per_request": ratio(float(total), sent.size)}


def cost(traffic: Traffic) -> dict[str, Any]:
    """What the charged attempts cost, in units of the loss."""
    charged = traffic.column("charged")
    total = _paid(traffic, charged)
    return {
        "charged_attempts": int(charged.sum()),
        "total": total,
        "per_request": ratio(total, charged.size),
        "spend": _spend(traffic, charged),
    }


def cost_of(traffic: Traffic, among: Mask) -> dict[str, Any]:
    """Of a part of the requests: `cost_per_request` and `spend`, as in `cost`."""
    charged = traffic.column("charged")
    charged = np.where(among, charged, charged.dtype.type(0))
    return {
        "cost_per_request": ratio(_paid(traffic, charged), among.sum()),
        "spend": _spend(traffic, charged),
    }


def _paid(traffic: Traffic, charged: NDArray[Any]) -> float:
    """c_e of all charged attempts (n,), in units of the loss."""
    c_e = traffic.c_e
    if "paid" in traffic.columns:
        return float(traffic.paid[charged > 0].sum())
    return c_e * float(charged.sum()) if isinstance(c_e, float) else float((c_e * charged).sum())


def _spend(traffic: Traffic, charged: NDArray[Any]) -> float | None:
    """Price x charged attempts over the groups whose budget is in money; None where none is."""
    budgets = {name: group.get("budget") for name, group in traffic.run.groups.items()}
    prices = {name: float(b["price"]) for name, b in budgets.items() if b and b["kind"] == "money"}
    if not prices:
        return None
    return float(sum(charged[traffic.is_of_group(name)].sum() * p for name, p in prices.items()))


def availability(traffic: Traffic) -> dict[str, Any]:
    """How much of the time the server could work, and how much of it some outage was on."""
    own = own_link_periods(traffic.run)
    sent = traffic.column("deferred") & traffic.known
    weight = seconds_covered(traffic)
    usable = (traffic.seconds["usable_replicas_mean"] * weight).sum()
    replicas = mean_of_steps(replica_steps(traffic.run), traffic.run.warm_up_s, traffic.run.horizon_s) or 0.0
    return {
        "usable_share": availability_of(traffic.run),
        "replica_share": ratio(usable, replicas * weight.sum()),
        "answered_in_time_if_sent": share(traffic.is_answered_by("server") & in_time(traffic), sent),
        "outage_share": ratio(_touched_s(traffic, own), traffic.run.observed_s),
        "outages": len(traffic.outages) + own.client_id.size,
        "targets": by_target(traffic.run),
    }


def staleness(traffic: Traffic) -> dict[str, Any]:
    """How far what clients hold lies behind the server's model; None where nothing is trained in the run."""
    result: dict[str, Any] = {}
    scenario = traffic.run.scenario
    trains = scenario.get("training", {}).get("online") is not None or scenario.get("federation") is not None
    for of in ("copy", "rejector"):
        values = traffic.seconds[f"{of}_staleness"] if trains else np.zeros(0)
        result[f"{of}_mean"] = (
            float(np.average(values, weights=seconds_covered(traffic))) if values.size else None
        )
        result[f"{of}_max"] = float(values.max()) if values.size else None
    return result


def _touched_s(traffic: Traffic, own: Periods) -> float:
    """Seconds after the warm-up in an outage of anything shared or of the own link, mean over the clients."""
    warm_up_s = traffic.run.warm_up_s
    shared = np.array([(one.from_s, one.to_s) for one in traffic.outages]).reshape(-1, 2)
    periods = np.column_stack([own.from_s, own.until_s])
    clients = sum(int(group["clients"]) for group in traffic.run.groups.values())
    begins, ends = apart(np.zeros(len(shared)), np.maximum(shared, warm_up_s))
    mine_s, mine_until_s = apart(own.client_id, np.maximum(periods, warm_up_s))
    # What of each of the links' own outages no shared one covers.
    covered = np.append(0.0, np.cumsum(ends - begins))
    marks = np.column_stack([begins, ends]).ravel()
    so_far = np.column_stack([covered[:-1], covered[1:]]).ravel()
    more_s = float((mine_until_s - mine_s).sum())
    if begins.size:
        more_s -= float((np.interp(mine_until_s, marks, so_far) - np.interp(mine_s, marks, so_far)).sum())
    return float(covered[-1]) + more_s / max(1, clients)


def apart(whose: NDArray[Any], periods: Floats) -> tuple[Floats, Floats]:
    """The union of everybody's `periods` (n, 2) as begins and ends that do not overlap, (n,), by whom."""
    order = np.lexsort((periods[:, 1], periods[:, 0], whose))
    begins, ends, count = periods[order, 0], periods[order, 1], order.size
    is_first = np.append(True, np.diff(whose[order]) != 0)[:count]
    by_end, rank = np.argsort(ends), np.empty(count, dtype=np.int64)
    rank[by_end] = np.arange(count)
    of = np.cumsum(is_first) * count  # apart by more than any rank, so that all look back at their own
    latest = ends[by_end[np.maximum.accumulate(of + rank) - of]]
    reached = np.where(is_first, -np.inf, np.append(-np.inf, latest)[:count])
    return np.maximum(begins, reached), np.maximum(ends, reached)
