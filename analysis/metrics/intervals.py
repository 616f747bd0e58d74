"""The intervals of numbers about the service, which neighbours in time have in common.
A section of the summary beside the numbers; those of answers stand with them, by clients and samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.metrics import energy, money
from analysis.metrics.measures import IN_SUMMARY, RATIOS, Ratio
from analysis.metrics.part_ratios import OF_PART
from analysis.metrics.run_length import in_system, seconds_covered, span_of
from analysis.metrics.service import load
from analysis.run_folder.kept import kept
from analysis.run_folder.parts import OF_WHOM, rows_of
from analysis.run_folder.per_request import numbers_per_request
from analysis.run_folder.traffic import Floats, Mask, Traffic
from analysis.statistics.in_time import (
    Interval,
    Span,
    mean_in_time,
    percentile_in_time,
    rate_in_time,
    share_in_time,
)
from analysis.statistics.percentiles import LEAST_INDEPENDENT, LEVELS
from analysis.statistics.room import joined
from sim.results.columns import OUTCOMES

SHARES = ("remote_answer_rate", "answered_in_time", "served_in_time")  # measures that the summary has so
OF_WHOLE = ("cost", "amplification", "bytes_up")


def intervals(traffic: Traffic) -> dict[str, Any]:
    """Each with value, low and high (95%) and why there is no interval, under the path of its number."""
    span = span_of(traffic)
    outcomes = {name: _outcome(traffic, name, span) for name in OUTCOMES}
    times = _latencies(traffic, span)
    traffic.let_go()
    found: dict[str, Any] = {
        "counts": {"outcome_share": outcomes},
        "latency_s": times,
        "goodput": {
            "correct_in_time_hz": _rate(_useful(traffic), traffic, span),
            "arrivals_hz": _rate(np.ones(traffic.count, dtype=bool), traffic, span),
        },
        "rates": {"answered_if_sent": _of(OF_PART["answered_if_sent"], traffic, span)},
        "load": _load(traffic, span),
        "queue": {
            "mean": _over_time(_column(traffic, "waiting_mean"), traffic, span),
            "in_system": _over_time(in_system(traffic), traffic, span),
        },
        "work": {"wasted_share": _wasted(traffic, span)},
        "availability": {"answered_in_time_if_sent": _of(OF_PART["answered_in_time_if_sent"], traffic, span)},
        "outages": {"whole_run": _of_part(traffic, span)},
    }
    for name, ratios, is_told in (
        ("energy", energy.OF_REQUESTS, traffic.run.is_metered),
        ("calls", money.OF_REQUESTS, traffic.run.has_calls),
    ):
        if is_told:
            found[name] = {number: _of(ratio, traffic, span) for number, ratio in ratios.items()}
    for section in OF_WHOM:
        parts = {
            name: {"whole_run": _of_part(traffic.only(rows), span)}
            for name, rows in rows_of(traffic, section).items()
        }
        found |= {section: parts} if parts else {}
        traffic.let_go()
    for name in (*SHARES, *OF_WHOLE):
        section, number = IN_SUMMARY[name]
        found.setdefault(section, {})[number] = _of(RATIOS[name], traffic, span)
    return found


def _of_part(part: Traffic, span: Span) -> dict[str, Any]:
    """Of the numbers that the summary has of a part of the traffic."""
    ratios = {name: _of(ratio, part, span) for name, ratio in OF_PART.items() if not name.endswith("_sent")}
    times = _latency(part, "final_s", span, np.ones(part.count, dtype=bool))
    return ratios | {f"{name}_latency_s": times[name] for name in LEVELS}


def _of(ratio: Ratio, traffic: Traffic, span: Span) -> dict[str, Any]:
    """Of a ratio over the requests; of a share by the bounds of one."""
    return _of_ratio(traffic, ratio, span)._asdict()


@kept
def _of_ratio(traffic: Traffic, ratio: Ratio, span: Span) -> Interval:
    parts, wholes = _sums_of(traffic, ratio)
    at_s, is_share = traffic.arrived_at_s, ratio.unit == "share"
    within = share_in_time if is_share else mean_in_time
    return within(parts, wholes, at_s, span, _by_client(traffic, parts, wholes))


def _sums_of(traffic: Traffic, ratio: Ratio) -> tuple[NDArray[Any], NDArray[Any]]:
    """The parts and the wholes of a ratio over the requests, both (n,)."""
    parts, wholes = numbers_per_request(traffic, ratio.parts_and_wholes)
    return parts, wholes


def _by_client(traffic: Traffic, parts: NDArray[Any], wholes: NDArray[Any]) -> Callable[[], float]:
    """What their ratio varies because clients differ, for who asks."""
    return lambda: traffic.clusters.client_variance(parts, wholes)


def _outcome(traffic: Traffic, name: str, span: Span) -> dict[str, Any]:
    hits = traffic.is_outcome(name)
    everyone = np.ones(hits.size, dtype=bool)
    more = _by_client(traffic, hits, everyone)
    return share_in_time(hits, everyone, traffic.arrived_at_s, span, more)._asdict()


def _useful(traffic: Traffic) -> NDArray[Any]:
    return np.asarray(traffic.column("in_time") * traffic.correct)


def _column(traffic: Traffic, name: str) -> Floats:
    values: Floats = traffic.seconds[name].astype(np.float64, copy=False)
    return values


def _over_time(values: Floats, traffic: Traffic, span: Span) -> dict[str, Any]:
    covered, at_s = seconds_covered(traffic), _column(traffic, "at_s")
    return mean_in_time(values * covered, covered, at_s, span)._asdict()


def _load(traffic: Traffic, span: Span) -> dict[str, Any]:
    covered, at_s, numbers = seconds_covered(traffic), _column(traffic, "at_s"), load(traffic)
    busy, usable = (_column(traffic, f"{name}_replicas_mean") * covered for name in ("busy", "usable"))
    quiet = ~traffic.seconds_in_outages
    first_sends = _column(traffic, "first_sends") * quiet
    sends = mean_in_time(first_sends, covered * quiet, at_s, span, least=0.0)
    offered = Interval(np.nan, np.nan, np.nan, "nothing to count")
    if numbers["offered"] is not None and sends.value > 0:
        by = numbers["offered"] / sends.value
        offered = Interval(numbers["offered"], by * sends.low, by * sends.high, sends.why)
    return {
        "first_sends_outside_outages_hz": sends._asdict(),
        "offered": offered._asdict(),
        "utilisation": mean_in_time(busy, np.maximum(usable, busy), at_s, span, least=0.0)._asdict(),
    }


def _wasted(traffic: Traffic, span: Span) -> dict[str, Any]:
    """With what outages put back, which is no request's, by the second in which they did."""
    parts, wholes = _sums_of(traffic, RATIOS["wasted"])
    more = _by_client(traffic, parts, wholes)
    again, at_s = _column(traffic, "requeued_s"), _column(traffic, "at_s")
    with_more = ((parts, again), (wholes, again), (traffic.arrived_at_s, at_s))
    wasted, spent, when = (joined(*both) for both in with_more)
    return mean_in_time(wasted, spent, when, span, more, is_share=True)._asdict()


def _latencies(traffic: Traffic, span: Span) -> dict[str, Any]:
    everyone = np.ones(traffic.count, dtype=bool)
    of_all = {name: _latency(traffic, f"{name}_s", span, everyone) for name in ("first", "final")}
    traffic.let_go()
    by_outcome = {name: _latency(traffic, "final_s", span, traffic.is_outcome(name)) for name in OUTCOMES}
    return of_all | {"by_outcome": by_outcome}


def _latency(traffic: Traffic, column: str, span: Span, among: Mask) -> dict[str, Any]:
    times = replace(traffic.latencies(column).among(among), relaxations=span.relaxations)
    every_s = traffic.column(column)
    answered = ~np.isnan(every_s) & among
    taken_s = np.where(answered, every_s, every_s.dtype.type(0))
    more = _by_client(traffic, taken_s, answered)
    found = {"mean": mean_in_time(taken_s, answered, traffic.arrived_at_s, span, more)}
    for name, level in LEVELS.items():
        one, least = percentile_in_time(times, level, span), LEAST_INDEPENDENT.get(level, 0.0)
        worth = times.independent(level)
        if worth < least and np.isfinite(one.value):
            why = f"worth {worth:.0f} independent requests, {least:.0f} needed"
            one = Interval(np.nan, np.nan, np.nan, why)
        found[name] = one
    return {name: one._asdict() for name, one in found.items()}


def _rate(values: NDArray[Any], traffic: Traffic, span: Span) -> dict[str, Any]:
    seconds = _column(traffic, "at_s"), seconds_covered(traffic)
    return rate_in_time(values, traffic.arrived_at_s, *seconds, span)._asdict()
