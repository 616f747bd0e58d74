"""Holds runs against the first of them: each headline number's difference, with its interval if it has one.
Takes run folders, gives plain data that `analysis.reports.compare_report` prints and writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.metrics.measures import MEASURES, OF_GROUPS, PERCENTILES, RATIOS, Percentile, Ratio, within
from analysis.metrics.summary import json_safe, summary_of
from analysis.run_folder.run import load_run
from analysis.run_folder.traffic import Floats, Traffic, traffic_of
from analysis.statistics.clusters import LEAST_SAMPLES, Clusters
from analysis.statistics.pairing import Pairing, pair, what_differs
from analysis.statistics.resampling import interval, percentiles
from sim.errors import BadInput


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


def compare(traffics: Sequence[Traffic], unpaired: bool = False) -> dict[str, Any]:
    """Every run against the first, JSON-safe: what differs in the scenario, what is shared, the measures.

    Under `runs` a measure has value, difference, low and high (95%, null where it has no interval): by
    two-way clustering over what both runs met (`analysis.statistics.clusters`), for percentiles from
    bootstrap replicates in which both runs count the same clients and samples equally often. Raises BadInput
    for pairs that share too little.
    """
    base, names = traffics[0], names_of(traffics)
    summaries = [summary_of(traffic) for traffic in traffics]
    pairings = [pair(base, other, unpaired, index) for index, other in enumerate(traffics[1:], start=1)]
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
                "measures": {key: _difference(key, first, second, pairing) for key in MEASURES},
                "groups": _of_groups(first, second, pairing),
            }
        )
    baseline = about(names[0], base, summaries[0]) | {
        "requests": len(base.requests),
        "measures": {key: first.value(key) for key in MEASURES},
    }
    shown: dict[str, Any] = json_safe({"measures": units(), "baseline": baseline, "runs": runs})
    return shown


def units() -> dict[str, dict[str, str]]:
    """What each measure is called, and its unit."""
    return {key: {"label": measure.label, "unit": measure.unit} for key, measure in MEASURES.items()}


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
    """One run's measures; replicates are drawn once for each set of draws."""

    def __init__(self, traffic: Traffic, summary: dict[str, Any]) -> None:
        self.traffic, self._summary = traffic, summary
        self._replicates: dict[str, Floats] = {}

    def value(self, key: str) -> float | None:
        """The measure itself; None where it does not exist in this run."""
        measure = MEASURES[key]
        if isinstance(measure, Ratio):
            return self.ratio(measure)
        if isinstance(measure, Percentile):
            taken_s = self.taken_s[~np.isnan(self.taken_s)]
            return float(np.quantile(taken_s, measure.level)) if taken_s.size else None
        part: Any = self._summary
        for step in measure.path:
            part = part[step]
        return None if part is None else float(part)

    def ratio(self, measure: Ratio) -> float | None:
        """The same of any ratio."""
        parts, wholes = measure.parts_and_wholes(self.traffic)
        whole = float(wholes.sum())
        return float(parts.sum()) / whole * self.scale(measure) if whole > 0 else None

    def influence(self, measure: Ratio, cells: Clusters) -> Floats | None:
        """What each cell contributes to a ratio; None where too few distinct samples tell of it."""
        parts, wholes = measure.parts_and_wholes(self.traffic)
        if np.unique(cells.base[cells.cell[wholes > 0]]).size < LEAST_SAMPLES:
            return None
        return cells.influence(parts, wholes) * self.scale(measure)

    def replicates(self, cells: Clusters, key: str) -> Floats:
        """The percentiles in each bootstrap replicate under `key`; (percentiles, replicates)."""
        if key not in self._replicates:
            levels = tuple(measure.level for measure in PERCENTILES.values())
            self._replicates[key] = percentiles(self.taken_s, cells, key, levels)
        return self._replicates[key]

    def scale(self, measure: Ratio) -> float:
        return len(self.traffic.requests) / self.traffic.run.observed_s if measure.per_second else 1.0

    @property
    def taken_s(self) -> Floats:
        return self.traffic.requests["final_s"].to_numpy(dtype=np.float64)


def _difference(key: str, first: Measured, second: Measured, pairing: Pairing) -> dict[str, Any]:
    """One measure of the second run, and by how much it differs from the first's."""
    one, two = first.value(key), second.value(key)
    result: dict[str, Any] = {"value": two, "difference": None, "low": None, "high": None}
    if one is None or two is None:
        return result
    if key == "accuracy_in_outages" and first.traffic.outages != second.traffic.outages:
        return result
    result["difference"] = two - one
    measure = MEASURES[key]
    if isinstance(measure, Ratio):
        result |= _interval_of(measure, first, second, pairing, two - one)
    elif isinstance(measure, Percentile):
        place = list(PERCENTILES).index(key)
        after = second.replicates(pairing.other, pairing.other_key)[place]
        result["low"], result["high"] = interval(
            after - first.replicates(pairing.base, pairing.base_key)[place]
        )
    return result


def _interval_of(
    measure: Ratio, first: Measured, second: Measured, pairing: Pairing, difference: float
) -> dict[str, float]:
    """The ends of the interval of a ratio's difference; none where too few samples tell of it."""
    before, after = first.influence(measure, pairing.base), second.influence(measure, pairing.other)
    if before is None or after is None:
        return {}
    half = pairing.spread(before, after).half_width()
    return {"low": difference - half, "high": difference + half}


def _of_groups(first: Measured, second: Measured, pairing: Pairing) -> dict[str, dict[str, dict[str, Any]]]:
    """The headline ratios of each group that both runs have, by group and measure; as in `measures`, and
    `baseline`, the first run's."""
    both = [name for name in first.traffic.run.groups if name in second.traffic.run.groups]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name in both:
        for key in OF_GROUPS:
            measure = within(RATIOS[key], name)
            one, two = first.ratio(measure), second.ratio(measure)
            said: dict[str, Any] = {
                "baseline": one,
                "value": two,
                "difference": None,
                "low": None,
                "high": None,
            }
            if one is not None and two is not None:
                said["difference"] = two - one
                said |= _interval_of(measure, first, second, pairing, two - one)
            found.setdefault(name, {})[key] = said
    return found
