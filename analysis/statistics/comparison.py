"""Holds runs against the first of them: each headline number's difference, with its interval if it has one.
Takes run folders, gives plain data that `analysis.reports.compare_report` prints and writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis.metrics.measures import MEASURES, OF_GROUPS, Percentile, Ratio, Single
from analysis.metrics.naming import measure_of, number_at
from analysis.metrics.run_length import seconds_covered, span_of
from analysis.metrics.summary import json_safe, summary_of
from analysis.run_folder.parts import arrived, of_whom
from analysis.run_folder.run import load_run
from analysis.run_folder.traffic import Floats, Mask, Traffic, traffic_of
from analysis.statistics.cells import numbered
from analysis.statistics.estimates import LEAST_SAMPLES
from analysis.statistics.in_time import BLOCKS, LOOKS, alike, least_variance
from analysis.statistics.pairing import Pairing, pair, what_differs
from analysis.statistics.percentiles import Latencies, number_of, percentile
from analysis.statistics.pieces import floats
from analysis.statistics.units import jackknife, skewed_interval, variance_of
from sim.errors import BadInput

Measure = Ratio | Percentile | Single

IN_WINDOWS = ("accuracy", "gain", "answered", "answered_in_time", "latency_p95")
MOST_WINDOWS = 20  # outages of both runs whose windows are compared


def load_traffics(paths: Sequence[Path]) -> list[Traffic]:
    """The traffic of each run. Raises BadInput for fewer than two, one twice, or none that asked anything."""
    if len(paths) < 2:
        raise BadInput(f"compare: {len(paths)} run given; give the baseline and at least one more")
    places = [path.resolve() for path in paths]
    for index, place in enumerate(places):
        if place in places[:index]:
            raise BadInput(f"compare: {paths[index]} is given twice")
    traffics = [traffic_of(load_run(path)) for path in paths]
    for traffic in traffics:
        if traffic.requests.empty:
            raise BadInput(f"compare: {traffic.run.path}: no request arrived after the warm-up")
    return traffics


def names_of(traffics: Sequence[Traffic]) -> list[str]:
    """A short name for each run that tells it from the others: its folder's, or its whole path."""
    short = [traffic.run.path.resolve().name for traffic in traffics]
    return [
        name if short.count(name) == 1 else str(traffic.run.path)
        for name, traffic in zip(short, traffics, strict=True)
    ]


def compare(traffics: Sequence[Traffic], unpaired: bool = False, shown: Sequence[str] = ()) -> dict[str, Any]:
    """Every run against the first, JSON-safe: what differs in the scenario, what is shared, the measures and
    those of `shown`, keys of measures or paths of the summary.

    Under `runs` a measure has value, difference, low and high (95%, null where it has no interval), `by`,
    what was resampled for it ("samples": clients and samples that both runs met; "time": stretches of both
    runs), and `why` it has none. Raises BadInput for pairs that share too little.
    """
    base, names, keys = traffics[0], names_of(traffics), list(dict.fromkeys([*MEASURES, *shown]))
    summaries = [summary_of(traffic) for traffic in traffics]
    pairings = [pair(base, other, unpaired) for other in traffics[1:]]
    first = Measured(base, summaries[0])
    runs = []
    for name, other, summary, pairing in zip(names[1:], traffics[1:], summaries[1:], pairings, strict=True):
        second = Measured(other, summary)
        runs.append(
            about(name, other, summary)
            | {
                "scenario": what_differs(base.run.scenario, other.run.scenario),
                "paired_by": pairing.kind,
                "shared": pairing.sentence,
                "measures": {key: _difference(measure_of(key), first, second, pairing) for key in keys},
                "groups": _of_groups(first, second, pairing),
                "windows": _windows(first, second, pairing),
            }
        )
    baseline = about(names[0], base, summaries[0]) | {
        "requests": len(base.requests),
        "measures": {key: first.value(measure_of(key)) for key in keys},
    }
    return as_told(keys, shown, baseline, runs)


def as_told(
    keys: Sequence[str], shown: Sequence[str], baseline: dict[str, Any], runs: list[dict[str, Any]]
) -> dict[str, Any]:
    """A comparison, JSON-safe: what each measure is called, and its unit; which were asked for; the runs."""
    units = {key: {"label": measure_of(key).label, "unit": measure_of(key).unit} for key in keys}
    told: dict[str, Any] = json_safe(
        {"measures": units, "shown": list(shown), "baseline": baseline, "runs": runs}
    )
    return told


def about(name: str, traffic: Traffic, summary: dict[str, Any]) -> dict[str, Any]:
    """Which run this is, and whether its numbers may be believed."""
    return {
        "name": name,
        "path": str(traffic.run.path),
        "seed": traffic.run.scenario["seed"],
        "valid": summary["valid"],
        "invalid_because": summary["invalid_because"],
    }


class Measured:
    """One run's measures; with a mask `among` (n,), those of some of its requests."""

    def __init__(
        self,
        traffic: Traffic,
        summary: dict[str, Any],
        among: Mask | None = None,
        against: str | None = None,
    ) -> None:
        """against: what forbids intervals in time, beside what the run itself has against them."""
        self.traffic, self.summary, self.span = traffic, summary, span_of(traffic)
        self._among = among
        if against is not None:
            self.span = replace(self.span, against=against)

    def group(self, name: str) -> Measured:
        """The measures of a group's requests."""
        return Measured(self.traffic, self.summary, of_whom(self.traffic, "groups", name))

    def window(self, from_s: float, to_s: float) -> Measured:
        """The measures of the requests that arrived in [from, to)."""
        inside = arrived(self.traffic, from_s, to_s)
        return Measured(self.traffic, self.summary, inside, "one window of one course of events")

    @property
    def among(self) -> Mask:
        """Which requests they are of, (n,)."""
        return np.ones(len(self.traffic.requests), dtype=bool) if self._among is None else self._among

    @property
    def latencies(self) -> Latencies:
        """To the final answer."""
        relaxations = self.span.relaxations
        return replace(self.traffic.latencies().among(self.among), relaxations=relaxations)

    def sums(self, measure: Ratio) -> tuple[Floats, Floats]:
        """Parts and wholes of a ratio, a number per request (n,) each, 0 outside the window."""
        parts, wholes = measure.parts_and_wholes(self.traffic)
        return (parts, wholes) if self._among is None else (parts * self._among, wholes * self._among)

    def value(self, measure: Measure) -> float | None:
        """The measure itself; None where it does not exist in this run."""
        if isinstance(measure, Ratio):
            parts, wholes = self.sums(measure)
            whole = float(wholes.sum())
            return float(parts.sum()) / whole * self.scale(measure) if whole > 0 else None
        if isinstance(measure, Percentile):
            value = number_of([self.latencies], measure.level)
            return value if np.isfinite(value) else None
        return number_at(self.summary, ".".join(measure.path))

    def influence(self, measure: Ratio) -> Floats:
        """What each request contributes to a ratio, (n,); sums to zero."""
        parts, wholes = self.sums(measure)
        total = float(wholes.sum())
        influence: Floats = (parts - parts.sum() / total * wholes) / total * self.scale(measure)
        return influence

    def by_stretch(self, measure: Measure) -> Floats:
        """What each stretch of time contributes to a ratio, or to a number of the time line; (stretches,)."""
        traffic = self.traffic
        columns = measure.columns if isinstance(measure, Single) else None
        if isinstance(measure, Ratio):
            influence, at_s = self.influence(measure), traffic.arrived_at_s
        else:
            at_s, seconds = traffic.seconds["at_s"], seconds_covered(traffic)
            parts, wholes = (
                seconds * (1.0 if name is None else traffic.seconds[name]) for name in columns or ()
            )
            influence = (parts - parts.sum() / wholes.sum() * wholes) / wholes.sum()
        return self.span.sums(influence, at_s)

    def scale(self, measure: Ratio) -> float:
        return len(self.traffic.requests) / self.traffic.run.observed_s if measure.per_second else 1.0


def _difference(measure: Measure, first: Measured, second: Measured, pairing: Pairing) -> dict[str, Any]:
    """One measure of the second run, and by how much it differs from the first's.

    by: what is resampled for the interval; why: what speaks against one.
    """
    one, two = first.value(measure), second.value(measure)
    result: dict[str, Any] = {"value": two, "difference": None, "low": None, "high": None}
    result |= {"by": None, "why": None}
    if one is None or two is None:
        return result | {"why": "one of the runs has no such number"}
    if measure is MEASURES["accuracy_in_outages"] and first.traffic.outages != second.traffic.outages:
        return result | {"why": "the runs have different outages"}
    result["difference"] = two - one
    if isinstance(measure, Ratio) and not measure.in_time:
        return result | _by_clients_and_samples(two - one, measure, first, second, pairing)
    if isinstance(measure, Percentile):
        return result | _percentile_by_time(measure.level, first, second)
    if isinstance(measure, Single) and measure.columns is None:
        return result | {"why": "one number of one course of events"}
    return result | _by_time(two - one, measure, first, second, pairing)


def _of_groups(first: Measured, second: Measured, pairing: Pairing) -> dict[str, dict[str, dict[str, Any]]]:
    """The headline ratios of each group that both runs have, by group and measure; as in `measures`, and
    `baseline`, the first run's."""
    both = [name for name in first.traffic.run.groups if name in second.traffic.run.groups]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name in both:
        one, two = first.group(name), second.group(name)
        for key in OF_GROUPS:
            said = {"baseline": one.value(MEASURES[key])} | _difference(MEASURES[key], one, two, pairing)
            found.setdefault(name, {})[key] = said
    return found


def _windows(first: Measured, second: Measured, pairing: Pairing) -> list[dict[str, Any]]:
    """What an outage of either run cost: the differences among the requests that arrived while it lasted."""
    seen = {
        (outage.from_s, outage.to_s): outage.label
        for measured in (first, second)
        for outage in measured.traffic.outages
    }
    described = []
    for (from_s, to_s), label in sorted(seen.items())[:MOST_WINDOWS]:
        one, two = (measured.window(from_s, to_s) for measured in (first, second))
        measures = {key: _difference(MEASURES[key], one, two, pairing) for key in IN_WINDOWS}
        described.append({"from_s": from_s, "to_s": to_s, "label": label, "measures": measures})
    return described


def _by_clients_and_samples(
    difference: float, measure: Ratio, first: Measured, second: Measured, pairing: Pairing
) -> dict[str, Any]:
    """By two-way clustering over what both runs met, of a mean over answers."""
    parts = []
    for measured, cells in ((first, pairing.base), (second, pairing.other)):
        _, wholes = measured.sums(measure)
        if numbered(cells.base[cells.cell[wholes > 0]])[0].size < LEAST_SAMPLES:
            return {"why": f"fewer than {LEAST_SAMPLES} distinct samples"}
        parts.append((cells.sums(measured.influence(measure)), cells.sums(wholes)))
    (before, sizes), (after, other_sizes) = parts
    half = pairing.spread(before, after, sizes, other_sizes).half_width()
    return {"low": difference - half, "high": difference + half, "by": "samples"}


def _by_time(
    difference: float, measure: Measure, first: Measured, second: Measured, pairing: Pairing
) -> dict[str, Any]:
    """By the stretches of time of both runs together, of what neighbours in time have in common."""
    sums = second.by_stretch(measure) - first.by_stretch(measure)
    why = first.span.too_short() or second.span.too_short() or alike(sums)
    if why is not None:
        return {"why": why}
    least, more = 0.0, 0.0
    if isinstance(measure, Ratio) and pairing.kind == "requests":
        apart = second.influence(measure) - first.influence(measure)
        slower = max(first.span, second.span, key=lambda span: span.relaxation_s)
        least = least_variance(floats(apart), LOOKS * slower.relaxations, apart.size)
        more = pairing.base.variance_between_clients(
            pairing.base.sums(apart), pairing.base.sums(np.ones(apart.size))
        )
    low, high = skewed_interval(difference, max(variance_of(sums), least) + more, sums)
    return {"low": low, "high": high, "by": "time"}


def _percentile_by_time(level: float, first: Measured, second: Measured) -> dict[str, Any]:
    """By what the difference is without each stretch of time in turn, the same in both runs."""
    why = first.span.too_short(level, of_difference=True) or second.span.too_short(level, of_difference=True)
    if why is not None:
        return {"why": why}
    runs = [
        (measured.latencies, measured.span.block_of(measured.latencies.arrived_at_s))
        for measured in (first, second)
    ]

    def difference(stretches: Mask) -> float:
        before, after = (percentile([times.among(stretches[block])], level) for times, block in runs)
        return after - before

    found = jackknife(difference, BLOCKS)
    if not np.isfinite([found.low, found.high]).all():
        return {"why": "too many are open, or without an answer"}
    return {"low": found.low, "high": found.high, "by": "time"}
