"""Before, during and after each outage: the same few numbers side by side.
A section of the summary; requests belong to the window in which they arrived."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.metrics.service import amplification
from analysis.run_folder.outages import in_any, normal_waiting, recovery_s
from analysis.run_folder.traffic import Mask, Traffic, share
from analysis.statistics.percentiles import percentile


def outages(traffic: Traffic) -> dict[str, Any]:
    """Before: warm-up to the first outage; during; after: its end to the next outage or the horizon.

    An outage that overlaps another leaves to `after` only what no outage touches.
    """
    outages_seen, run = traffic.outages, traffic.run
    normal = normal_waiting(run, outages_seen)
    first = min((outage.from_s for outage in outages_seen), default=run.horizon_s)
    inside = in_any(outages_seen, traffic.arrived_at_s)
    each = []
    for outage in outages_seen:
        later = [other.from_s for other in outages_seen if other.from_s >= outage.to_s]
        until = min(later, default=run.horizon_s)
        each.append(
            {
                "target": outage.target,
                "label": outage.label,
                "from_s": outage.from_s,
                "to_s": outage.to_s,
                "recovery_s": recovery_s(run, outages_seen, outage, normal),
                "during": window(traffic, _arrived(traffic, outage.from_s, outage.to_s)),
                "after": window(traffic, _arrived(traffic, outage.to_s, until) & ~inside),
                "after_until_s": until,
            }
        )
    return {
        "normal_waiting": normal,
        "whole_run": window(traffic, np.ones(inside.shape, dtype=bool)),
        "before": window(traffic, _arrived(traffic, run.warm_up_s, first)),
        "during_any": window(traffic, inside),
        "outside": window(traffic, ~inside),
        "each": each,
    }


def window(traffic: Traffic, arrived: Mask) -> dict[str, Any]:
    """The numbers of one window, over its requests with a known outcome, accuracy over the held-out ones."""
    requests = traffic.requests
    taken_s = requests["final_s"].to_numpy(dtype=float)
    among, held_out = arrived & traffic.known, arrived & traffic.held_out
    estimate = traffic.clusters.share
    return {
        "requests": int(arrived.sum()),
        "accuracy": estimate(traffic.correct, held_out),
        "client_accuracy": estimate(np.asarray(requests["client_right"]), held_out),
        "answered_by_server_share": share(traffic.is_answered_by("server"), among),
        "timed_out_share": share(traffic.is_outcome("timed_out"), among),
        "refused_share": share(traffic.is_outcome("refused"), among),
        "answered_share": share(~np.isnan(taken_s), among),
        "p95_latency_s": percentile([traffic.latencies().among(arrived)], 0.95),
        "amplification": amplification(traffic, arrived),
    }


def _arrived(traffic: Traffic, from_s: float, to_s: float) -> Mask:
    return np.asarray((traffic.arrived_at_s >= from_s) & (traffic.arrived_at_s < to_s))
