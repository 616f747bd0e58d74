"""Whether a run is long enough to tell of a system that goes on, and how long it would have to be.
A section of the summary; the time that all intervals of the run are judged by."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.run_folder.outages import seconds_touched
from analysis.run_folder.traffic import Floats, Traffic
from analysis.statistics.in_time import BLOCKS, Span
from analysis.statistics.percentiles import LEVELS, quantile
from analysis.statistics.run_length import dispersion_of, effective_size, mser5, relaxation_s

LEAST_RELAXATIONS = 10.0  # of a run that has forgotten its start
STRETCHES = 50  # in which arrivals are counted, to see how bursty they are
ENOUGH_OUTAGES = 10  # that begin in the run: fewer do not show how outages vary
BACKLOG = 2.0  # times the queue's usual high that waits at the end
STABLE, BACKLOGGED, OVERLOADED = "STABLE", "BACKLOGGED", "OVERLOADED"


def run_length(traffic: Traffic) -> dict[str, Any]:
    """How fast the server forgets, what that makes of length and warm-up, and in what state the run is."""
    span, waiting = span_of(traffic), in_system(traffic)
    left_out = mser5(waiting) if waiting.size else None
    return {
        "verdict": verdict(traffic),
        "relaxation_s": span.relaxation_s,
        "relaxations": span.relaxations,
        "effective_seconds": effective_size(waiting, BLOCKS) if waiting.size else None,
        "mser5_warm_up_s": None if left_out is None else traffic.run.warm_up_s + left_out,
        "needed_s": {
            "valid": LEAST_RELAXATIONS * span.relaxation_s,
            "mean": span.needed_s(),
            **{name: span.needed_s(level) for name, level in LEVELS.items()},
        },
    }


def in_system(traffic: Traffic) -> Floats:
    """Requests that wait or are served, a mean per second after the warm-up, (seconds,)."""
    timeline = traffic.timeline
    system: Floats = timeline["waiting_mean"].to_numpy(dtype=float) + timeline["busy_replicas_mean"].to_numpy(
        dtype=float
    )
    return system


def seconds_covered(traffic: Traffic) -> Floats:
    """How much time each row of the time line stands for: a second, but the last may be a part of one."""
    at_s = traffic.timeline["at_s"].to_numpy(dtype=float)
    covered: Floats = np.clip(traffic.run.horizon_s - at_s, 0.0, 1.0)
    return covered


def span_of(traffic: Traffic) -> Span:
    """The time after the warm-up, with how fast the server forgets in it."""
    run = traffic.run
    begun = sum(outage.from_s >= run.warm_up_s for outage in traffic.outages)
    against = None
    if traffic.outages and begun < ENOUGH_OUTAGES:
        count = len(traffic.outages)
        against = f"{count} outage{'s' * (count > 1)}: too few to show how they vary"
    service = service_law(run.server)
    tail = 1.0 if service is None else max(1.0, (1 + service.cv**2) / 2)
    end_s = max(run.horizon_s, run.warm_up_s + 1e-9)
    # Many outages are part of what goes on: the time from one to the next is one look at them.
    cycle_s = (end_s - run.warm_up_s) / begun if begun >= ENOUGH_OUTAGES else 0.0
    return Span(run.warm_up_s, end_s, max(forgets_s(traffic), cycle_s), tail, against)


def forgets_s(traffic: Traffic) -> float:
    """The relaxation time of the server at the load outside outages; 0 where nothing is sent to it."""
    server, timeline = traffic.run.server, traffic.timeline
    load, per_request_s = load_outside_outages(traffic)
    if load is None or load == 0:
        return 0.0
    largest, service = int(server["max_batch"]), service_law(server)
    batch_s = per_request_s * largest if service is None else service.mean_s(largest)
    sends = timeline["first_sends"].to_numpy(dtype=float)
    stretch = max(1, sends.size // STRETCHES)
    counts = sends[: sends.size // stretch * stretch].reshape(-1, stretch).sum(axis=1)
    quiet = ~seconds_touched(traffic.outages, timeline["at_s"].to_numpy(dtype=float))
    replicas = max(1.0, float(timeline["usable_replicas_mean"].to_numpy()[quiet].mean()))
    return relaxation_s(
        load,
        per_request_s / replicas,
        batch_s,
        1.0 if service is None else service.cv,
        largest,
        dispersion_of(counts),
        server["queue_limit"],
    )


def service_law(server: dict[str, Any]) -> Any:
    """The mean and variation of the server's service; None for times from a file."""
    from analysis.theory.queues import service_of  # noqa: PLC0415  (the laws are told by these metrics)

    return service_of(server["service"])


def load_outside_outages(traffic: Traffic) -> tuple[float | None, float]:
    """First sends times the replica time of one in full batches, over the replicas there are; and that time.

    The time is as it was measured where the scenario has none. None where no second is without outage.
    """
    server, timeline = traffic.run.server, traffic.timeline
    quiet = ~seconds_touched(traffic.outages, timeline["at_s"].to_numpy(dtype=float))
    usable = float(timeline["usable_replicas_mean"].to_numpy()[quiet].sum())
    if usable == 0:
        return None, 0.0
    service = service_law(server)
    if service is not None:
        per_request_s = service.of_full_batches_s(int(server["max_batch"]))
    else:
        served = traffic.requests["service_s"].to_numpy(dtype=float)
        per_request_s = float(served[served > 0].mean()) if (served > 0).any() else 0.0
    return float(timeline["first_sends"].to_numpy()[quiet].sum()) * per_request_s / usable, per_request_s


def verdict(traffic: Traffic) -> str:
    """In what state the server is.

    OVERLOADED: more is sent outside outages than can be served. BACKLOGGED: less, but at the end more waits
    than is usual outside outages, as in one or after it. STABLE: neither.
    """
    load, _ = load_outside_outages(traffic)
    if load is not None and load >= 1:
        return OVERLOADED
    waiting = traffic.timeline["waiting_mean"].to_numpy(dtype=float)
    last = max(5, waiting.size // 20)
    if waiting.size < 3 * last:
        return STABLE
    server = traffic.run.server
    touched = seconds_touched(traffic.outages, traffic.timeline["at_s"].to_numpy(dtype=float))[:-last]
    before = waiting[:-last] if touched.all() else waiting[:-last][~touched]
    usual = quantile(before, 0.95)
    round_of_batches = float(server["replicas"]) * float(server["max_batch"])
    return BACKLOGGED if waiting[-last:].mean() > BACKLOG * usual + round_of_batches else STABLE
