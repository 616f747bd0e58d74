"""Whether a run is long enough to tell of a system that goes on, and how long it would have to be.
A section of the summary; the time that all intervals of the run are judged by."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.metrics.each_server import each_server, service_law, worst
from analysis.run_folder.kept import kept
from analysis.run_folder.traffic import Floats, Traffic
from analysis.statistics.in_time import BLOCKS, Span
from analysis.statistics.percentiles import LEVELS
from analysis.statistics.run_length import effective_size, mser5

LEAST_RELAXATIONS = 10.0  # of a run that has forgotten its start
ENOUGH_OUTAGES = 10  # that begin in the run: fewer do not show how outages vary


def run_length(traffic: Traffic) -> dict[str, Any]:
    """How fast the server forgets, what that makes of length and warm-up, and in what state the run is."""
    span, waiting = span_of(traffic), in_system(traffic)
    told = worst(each_server(traffic))
    left_out = mser5(waiting) if waiting.size else None
    return {
        "verdict": told.verdict,
        **({"server": told.name} if len(traffic.run.servers) > 1 else {}),
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


@kept
def in_system(traffic: Traffic) -> Floats:
    """Requests that wait or are served, a mean per second after the warm-up, (seconds,)."""
    return np.asarray(traffic.seconds["waiting_mean"] + traffic.seconds["busy_replicas_mean"])


@kept
def seconds_covered(traffic: Traffic) -> Floats:
    """How much time each row of the time line stands for: a second, but the last may be a part of one."""
    return np.clip(traffic.run.horizon_s - traffic.seconds["at_s"], 0.0, 1.0)


@kept
def span_of(traffic: Traffic) -> Span:
    """The time after the warm-up, with how fast the servers forget in it: as fast as the slowest of them."""
    run = traffic.run
    begun = sum(outage.from_s >= run.warm_up_s for outage in traffic.outages)
    against = None
    if traffic.outages and begun < ENOUGH_OUTAGES:
        count = len(traffic.outages)
        against = f"{count} outage{'s' * (count > 1)}: too few to show how they vary"
    laws = [law for server in run.servers.values() if (law := service_law(server)) is not None]
    tail = max([1.0, *((1 + law.cv**2) / 2 for law in laws)])
    forgets_s = max(one.forgets_s for one in each_server(traffic))
    end_s = max(run.horizon_s, run.warm_up_s + 1e-9)
    # Many outages are part of what goes on: the time from one to the next is one look at them.
    cycle_s = (end_s - run.warm_up_s) / begun if begun >= ENOUGH_OUTAGES else 0.0
    return Span(run.warm_up_s, end_s, max(forgets_s, cycle_s), tail, against)
