"""How many requests a group's clients make, from what the scenario says alone: on average and at the busiest.
Asked for estimates of memory and for weighing groups by their traffic; nothing is drawn here."""

from __future__ import annotations

import math

from sim.scenario.files.rows import BadFile
from sim.scenario.files.samples import measured
from sim.scenario.files.traces import Trace, count_before, totals, trace_of
from sim.scenario.schema.arrivals import ClosedLoop, Diurnal, FlashCrowd, Mmpp, Shape, TraceArrivals
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import Group
from sim.scenario.schema.values import CHUNK_S, Duration, Empirical


def mean_rate_hz(scenario: Scenario, place: int) -> float:
    """Requests per second that a client of the group at `place` makes, on average over the horizon.

    Exact for every open process, given its shape. A closed loop is counted as if its server answered at
    once, so its clients ask at most this often. Raises BadFile if a trace cannot be read.
    """
    group, horizon_s = scenario.fleet[place], scenario.horizon_s
    process, shape = group.arrivals.process, group.arrivals.shape
    if isinstance(process, ClosedLoop):
        return 1 / (mean_s(process.think) + group.device.inference_s)
    if isinstance(process, TraceArrivals):
        trace = trace_of(scenario, place)
        if horizon_s == 0:
            whole = totals(trace)
            return whole.requests / group.clients / max(whole.last_s * process.time_scale, 1.0)
        return requests_in_time(trace, process, shape, horizon_s) / group.clients / horizon_s
    if horizon_s == 0:
        return steady_rate_hz(group)
    return steady_rate_hz(group) * operational_s(shape, horizon_s) / horizon_s


def busiest_rate_hz(scenario: Scenario, place: int) -> float:
    """The largest rate of a client in any minute: of a trace that can be read, the mean over its clients."""
    group = scenario.fleet[place]
    process, peak = group.arrivals.process, peak_factor(group.arrivals.shape)
    if isinstance(process, ClosedLoop):
        return mean_rate_hz(scenario, place) if _is_readable(process.think) else 0.0
    if isinstance(process, TraceArrivals):
        try:
            most = totals(trace_of(scenario, place)).most_in_a_chunk
        except BadFile:
            return 0.0  # another rule says so
        # A trace in fast motion squeezes several of its minutes into one.
        return most / group.clients / CHUNK_S * max(1.0, peak / process.time_scale)
    return (max(process.rates_hz) if isinstance(process, Mmpp) else process.rate_hz) * peak


def requests_before(scenario: Scenario, place: int, at_s: float) -> float:
    """The requests that the group at `place` is expected to make before an instant: of a trace as many as are
    in it, to the minute; of a closed loop at most these. Raises BadFile if a trace cannot be read.
    """
    group = scenario.fleet[place]
    process, shape = group.arrivals.process, group.arrivals.shape
    if isinstance(process, ClosedLoop):
        return group.clients * mean_rate_hz(scenario, place) * at_s
    if isinstance(process, TraceArrivals):
        at_s = operational_s(shape, at_s) / process.time_scale
        return totals(trace_of(scenario, place)).about_before(at_s)
    return group.clients * steady_rate_hz(group) * operational_s(shape, at_s)


def requests_in_time(trace: Trace, process: TraceArrivals, shape: Shape, horizon_s: float) -> int:
    """The requests of a group's trace that arrive before the horizon. Raises BadFile."""
    return count_before(trace, operational_s(shape, horizon_s) / process.time_scale)


def steady_rate_hz(group: Group) -> float:
    """The long-run rate of an open process before its shape; 0 for a trace, which has none."""
    process = group.arrivals.process
    if isinstance(process, Mmpp):
        return math.fsum(process.rates_hz) / len(process.rates_hz)
    return 0.0 if isinstance(process, ClosedLoop | TraceArrivals) else process.rate_hz


def peak_factor(shape: Shape) -> float:
    """The most by which a shape multiplies the rate."""
    if isinstance(shape, Diurnal):
        return 1.0 + shape.amplitude
    return max(1.0, shape.factor) if isinstance(shape, FlashCrowd) else 1.0


def operational_s(shape: Shape, at_s: float) -> float:
    """Operational time at an instant: the integral of the shape's factor from 0 to `at_s`.

    The factor is 1 + amplitude·sin(2π(t − phase)/period) for `diurnal`, so that it rises through its mean,
    1, at `phase_s`; `factor` from `at_s` for `for_s` seconds, else 1, for `flash_crowd`.
    """
    if isinstance(shape, Diurnal):
        turn = 2 * math.pi / shape.period_s
        swing = math.cos(turn * shape.phase_s) - math.cos(turn * (at_s - shape.phase_s))
        return max(0.0, at_s + shape.amplitude / turn * swing)
    if isinstance(shape, FlashCrowd):
        return at_s + (shape.factor - 1) * min(max(at_s - shape.at_s, 0.0), shape.for_s)
    return at_s


def mean_s(duration: Duration) -> float:
    """The mean of a duration in seconds. Raises BadFile if measured ones cannot be read."""
    if isinstance(duration, Empirical):
        return float(measured(duration.file).mean())
    return float(duration) if isinstance(duration, float | int) else duration.mean_s


def _is_readable(duration: Duration) -> bool:
    try:
        mean_s(duration)
    except BadFile:
        return False
    return True
