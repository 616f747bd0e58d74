"""The intervals of numbers about the service, which neighbours in time have in common.
A section of the summary beside the numbers; those of answers stand with them, by clients and samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.metrics.run_length import in_system, seconds_covered, span_of
from analysis.run_folder.traffic import Floats, Mask, Traffic
from analysis.statistics.in_time import (
    Interval,
    Span,
    mean_in_time,
    percentile_in_time,
    share_in_time,
)
from analysis.statistics.percentiles import LEAST_INDEPENDENT, LEVELS


def intervals(traffic: Traffic) -> dict[str, Any]:
    """Each with value, low and high (95%) and why there is no interval, under the path of its number."""
    span = span_of(traffic)
    requests, known = traffic.requests, traffic.known
    in_time = np.asarray(requests["in_time"], dtype=bool)
    useful = (in_time * traffic.correct).astype(np.float64)
    every_second = seconds_covered(traffic)

    def share(hits: Mask) -> dict[str, Any]:
        more = client_variance(traffic, hits.astype(np.float64), known)
        return share_in_time(
            hits.astype(np.float64), known.astype(np.float64), traffic.arrived_at_s, span, more
        )._asdict()

    def over_time(values: Floats) -> dict[str, Any]:
        at_s = traffic.timeline["at_s"].to_numpy(dtype=float)
        return mean_in_time(values * every_second, every_second, at_s, span)._asdict()

    def column(name: str) -> Floats:
        values: Floats = traffic.timeline[name].to_numpy(dtype=float)
        return values

    busy, usable = column("busy_replicas_mean"), column("usable_replicas_mean")
    at_s = traffic.timeline["at_s"].to_numpy(dtype=float)
    return {
        "latency_s": {name: _latency(traffic, f"{name}_s", span) for name in ("first", "final")},
        "goodput": {
            "correct_in_time_hz": _rate(useful, traffic, span)._asdict(),
            "answered_in_time_share": share(in_time),
        },
        "rates": {"remote_answer_rate": share(traffic.is_answered_by("server"))},
        "load": {
            "utilisation": mean_in_time(busy * every_second, usable * every_second, at_s, span)._asdict()
        },
        "queue": {
            "mean": over_time(column("waiting_mean")),
            "in_system": over_time(in_system(traffic)),
        },
        "outages": {
            "whole_run": {
                "timed_out_share": share(traffic.is_outcome("timed_out")),
                "refused_share": share(traffic.is_outcome("refused")),
                "answered_share": share(np.asarray(requests["final_s"].notna())),
            }
        },
    }


def _latency(traffic: Traffic, column: str, span: Span) -> dict[str, Any]:
    times = traffic.latencies(column)
    answered = np.isfinite(times.taken_s)
    taken_s = np.where(answered, times.taken_s, 0.0)
    more = client_variance(traffic, taken_s, answered)
    found = {"mean": mean_in_time(taken_s, answered.astype(np.float64), times.arrived_at_s, span, more)}
    for name, level in LEVELS.items():
        one, least = percentile_in_time(times, level, span), LEAST_INDEPENDENT.get(level, 0.0)
        worth = times.independent(level)
        if worth < least and np.isfinite(one.value):
            why = f"worth {worth:.0f} independent requests, {least:.0f} needed"
            one = Interval(np.nan, np.nan, np.nan, why)
        found[name] = one
    return {name: one._asdict() for name, one in found.items()}


def _rate(values: Floats, traffic: Traffic, span: Span) -> Interval:
    """The sum of the requests' values (n,) per second: seconds without requests count as well."""
    every_second = seconds_covered(traffic)
    at_s = traffic.timeline["at_s"].to_numpy(dtype=float)
    place = np.searchsorted(at_s, traffic.arrived_at_s, side="right") - 1
    per_second = np.bincount(np.maximum(place, 0), weights=values, minlength=at_s.size).astype(np.float64)
    return mean_in_time(per_second, every_second, at_s, span)


def client_variance(traffic: Traffic, values: Floats, among: Mask) -> float:
    """What the mean of `values` over the requests in `among`, (n,), varies because clients differ."""
    return traffic.clusters.between_clients(values, among)
