"""What `check` says of traces: how much of each is played, how fast, what is left out and why.
Also why nothing of one would arrive, which is mostly a slip of the unit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import NamedTuple

import numpy as np

from sim.registry.arrivals import TraceArrivals
from sim.scenario.files.instants import IN_A_SECOND
from sim.scenario.files.requests_of_traces import NO_SAMPLE, NOBODY, Requests, Trace
from sim.scenario.files.traces import read_trace, totals
from sim.scenario.schema.document import Scenario

SMALLER = ("ms", "us", "ns")
EPOCH_S = (1e8, 1e10)  # numbers of seconds since 1970 from 1973 on


class Played(NamedTuple):
    """Of a group's requests in a trace: how many come before the horizon, the most in a second of the run;
    and of those that come the clients, how many name their sample, and the work: mean and most, NaN without.
    """

    requests: int
    peak: int
    clients: int
    samples: int
    work: float
    most_work: float


def traces_in_words(scenario: Scenario) -> Iterator[str]:
    """A line for each group whose requests are in a trace. Raises BadFile for a file that has changed."""
    for place, group in enumerate(scenario.fleet):
        process = group.arrivals.process
        if isinstance(process, TraceArrivals) and scenario.horizon_s:
            yield _in_words(scenario, place, process.trace(scenario, place))


def why_nothing_arrives(scenario: Scenario, place: int, process: TraceArrivals) -> str:
    """The end of a sentence: when the first one comes, and what would bring it in."""
    trace = process.trace(scenario, place)
    first_s = totals(trace).first_s
    until_s = scenario.fleet[place].arrivals.shape.operational_s(scenario.horizon_s)
    comes = f"the first comes at {first_s:.12g} s"
    in_unit = first_s / trace.time_scale * IN_A_SECOND[trace.unit]
    if trace.start is None:
        for unit in ("s", *SMALLER):
            if EPOCH_S[0] <= in_unit / IN_A_SECOND[unit] < EPOCH_S[1]:
                given = "" if unit == trace.unit else f"unit: {unit} and "
                return f"{comes}; for times since 1970 give {given}start: first"
    for unit in SMALLER:
        shrinks = IN_A_SECOND[trace.unit] / IN_A_SECOND[unit]
        if shrinks < 1 and first_s * shrinks < until_s:
            return f"{comes}; are its times in {unit}? then give unit: {unit}"
    return f"{comes}; start: first would begin there" if trace.start is None else comes


def _in_words(scenario: Scenario, place: int, trace: Trace) -> str:
    group, known = scenario.fleet[place], totals(trace)
    played, counted = _played(scenario, place, trace), known.counted
    parts = [
        f"{group.group}: {PurePath(trace.file).name} ({trace.format}) plays {played.requests:,} of "
        f"{known.requests + counted.early:,} requests, {played.requests / scenario.horizon_s:.4g} a second, "
        f"at most {played.peak:,} in one second",
        f"from {_clients(played.clients)}"
        + (f", of {counted.names:,} that the file names" if counted.names else ""),
    ]
    left_out = {
        "before the start": counted.early,
        "behind the horizon": known.requests - played.requests,
        "of other groups": counted.others,
    }
    told = ", ".join(f"{count:,} {why}" for why, count in left_out.items() if count)
    parts.append(f"left out: {told or 'none'}")
    if played.samples:
        parts.append(f"{played.samples:,} name their sample")
    if played.work == played.work:
        parts.append(f"work {played.work:.6g} on average, at most {played.most_work:.6g}")
    return "; ".join(parts)


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count:,} clients"


def _played(scenario: Scenario, place: int, trace: Trace) -> Played:
    shape, horizon_s = scenario.fleet[place].arrivals.shape, scenario.horizon_s
    inverse, until_s = shape.inverse(), shape.operational_s(horizon_s)
    clients = np.zeros(trace.clients + 1, dtype=bool)
    count, samples, total, most = 0, 0, 0.0, np.nan
    peak, last, in_last = 0, -1.0, 0  # two batches may meet within a second
    for batch in read_trace(trace):
        here = _before(batch, trace.time_scale, until_s)
        if not len(here.at_s):
            if len(batch.at_s):
                break
            continue
        at_s = np.clip(inverse(here.at_s * trace.time_scale), 0.0, horizon_s)
        seconds, counts = np.unique(np.floor(at_s), return_counts=True)
        counts[0] += in_last if seconds[0] == last else 0
        peak, last, in_last = max(peak, int(counts.max())), float(seconds[-1]), int(counts[-1])
        clients[here.client] = True
        count += len(at_s)
        samples += int(np.count_nonzero(here.sample != NO_SAMPLE))
        total += float(here.work.sum())
        most = float(np.fmax(most, here.work.max()))
    known = scenario.fleet[place].clients if clients[NOBODY] else int(np.count_nonzero(clients))
    return Played(count, peak, known, samples, total / max(count, 1), most)


def _before(batch: Requests, time_scale: float, until_s: float) -> Requests:
    return batch.part(slice(int(np.searchsorted(batch.at_s * time_scale, until_s))))
