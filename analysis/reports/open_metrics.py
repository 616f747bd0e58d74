"""A run as OpenMetrics text, in virtual time: what a Prometheus that scraped the fleet would have seen.
Written by the command `metrics`; `promtool tsdb create-blocks-from openmetrics` makes blocks of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.run_folder.run import Run
from sim.errors import BadInput
from sim.results.columns import OUTCOMES

Floats = NDArray[np.float64]
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # those of Prometheus' clients
GAUGES = {
    "waiting": ("waiting", "Requests in the queue."),
    "in_service": ("in_service", "Requests in batches."),
    "usable_replicas": ("usable_replicas_mean", "Replicas that work, mean over the second before."),
    "server_version": ("server_version", "Version of the server's model."),
}
COUNTERS = {
    "arrivals": ("arrivals", "Requests that arrived."),
    "first_sends": ("first_sends", "First attempts that were sent."),
    "retries": ("retries", "Further attempts that were sent."),
}


def open_metrics(run: Run, every_s: float = 15.0, epoch_s: float = 0.0) -> Iterator[str]:
    """Lines of OpenMetrics text. every_s: whole virtual seconds between two scrapes, the first at t = 0;
    epoch_s: whole seconds since 1970 that are t = 0. Raises BadInput for others."""
    for option, value, least in (("--every", every_s, 1), ("--epoch", epoch_s, 0)):
        if not (np.isfinite(value) and value >= least and value == int(value)):
            raise BadInput(f"{option}: {value:g} is not allowed: must be a whole number, at least {least}")
    at_s = np.arange(0, int(run.horizon_s) + 1, int(every_s)).astype(np.float64)
    stamps = [str(int(epoch_s + at)) for at in at_s.tolist()]
    yield from _of_timeline(run.timeline, at_s, stamps)
    yield from _of_requests(run, at_s, stamps)
    yield "# EOF"


def _of_timeline(timeline: pd.DataFrame, at_s: Floats, stamps: list[str]) -> Iterator[str]:
    begins = timeline["at_s"].to_numpy(dtype=np.float64)
    for name, (column, words) in GAUGES.items():
        values = timeline[column].to_numpy(dtype=np.float64)
        before = 1 if column.endswith("_mean") else 0  # a row begins at its instant, and means follow it
        place = np.searchsorted(begins, at_s, side="right") - 1 - before
        place = np.clip(place, 0, max(len(values) - 1, 0))
        yield from _family(name, "gauge", words)
        if len(values):
            yield from _series(f"l2h_{name}", "", values[place], stamps)
    for name, (column, words) in COUNTERS.items():
        upto = np.concatenate([[0.0], np.cumsum(timeline[column].to_numpy(dtype=np.float64))])
        yield from _family(name, "counter", words)
        yield from _series(f"l2h_{name}_total", "", upto[np.searchsorted(begins, at_s, side="left")], stamps)


def _of_requests(run: Run, at_s: Floats, stamps: list[str]) -> Iterator[str]:
    """Counters by group of requests whose final answer was there, or who had given up, at each scrape."""
    requests = run.requests
    over_s = requests["answered_at_s"].fillna(np.inf).to_numpy(dtype=np.float64)
    taken_s = over_s - requests["arrived_at_s"].to_numpy(dtype=np.float64)
    group, outcome = requests["group"].astype(str).to_numpy(), requests["outcome"].astype(str).to_numpy()
    correct = requests["correct"].to_numpy(dtype=bool)

    def counted(mask: NDArray[np.bool_]) -> Floats:
        return np.searchsorted(np.sort(over_s[mask]), at_s, side="right").astype(np.float64)

    yield from _family("requests", "counter", "Requests with a final answer, by group and outcome.")
    for name in run.groups:
        for what in OUTCOMES:
            mask = (group == name) & (outcome == what)
            if mask.any():
                labels = f'{_of_group(name)},outcome="{what}"'
                yield from _series("l2h_requests_total", labels, counted(mask), stamps)
    yield from _family("correct", "counter", "Requests whose final answer was right, by group.")
    for name in run.groups:
        yield from _series("l2h_correct_total", _of_group(name), counted((group == name) & correct), stamps)
    yield from _family("latency_seconds", "histogram", "From arrival to the final answer.", unit="seconds")
    for name in run.groups:
        yield from _histogram(name, over_s[group == name], taken_s[group == name], at_s, stamps)


def _histogram(name: str, over_s: Floats, taken_s: Floats, at_s: Floats, stamps: list[str]) -> Iterator[str]:
    order = np.argsort(over_s, kind="stable")
    over_s, taken_s = over_s[order], np.where(np.isfinite(taken_s[order]), taken_s[order], 0.0)
    place = np.searchsorted(over_s, at_s, side="right")
    total = np.concatenate([[0.0], np.cumsum(taken_s)])[place]
    within = [np.concatenate([[0], np.cumsum(taken_s <= bound)])[place] for bound in BUCKETS_S]
    labels = _of_group(name)
    for number, stamp in enumerate(stamps):
        for bound, counts in zip(BUCKETS_S, within, strict=True):
            yield f'l2h_latency_seconds_bucket{{{labels},le="{bound}"}} {int(counts[number])} {stamp}'
        yield f'l2h_latency_seconds_bucket{{{labels},le="+Inf"}} {int(place[number])} {stamp}'
        yield f"l2h_latency_seconds_count{{{labels}}} {int(place[number])} {stamp}"
        yield f"l2h_latency_seconds_sum{{{labels}}} {float(total[number])!r} {stamp}"


def _of_group(name: str) -> str:
    """The label of a group, whatever its name holds: OpenMetrics 1.0, 'Escaping'."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'group="{escaped}"'


def _family(name: str, kind: str, words: str, unit: str = "") -> Iterator[str]:
    yield f"# TYPE l2h_{name} {kind}"
    if unit:
        yield f"# UNIT l2h_{name} {unit}"
    yield f"# HELP l2h_{name} {words}"


def _series(name: str, labels: str, values: Floats, stamps: list[str]) -> Iterator[str]:
    shown = f"{{{labels}}}" if labels else ""
    for value, stamp in zip(values.tolist(), stamps, strict=True):
        yield f"{name}{shown} {value!r} {stamp}"
