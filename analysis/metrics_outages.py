"""Before, during and after each outage: the same few numbers side by side.
A section of the summary; requests belong to the window in which they arrived."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.metrics_service import amplification, spread
from analysis.outages import in_any, recovery_s
from analysis.traffic import Mask, Traffic


def outages(traffic: Traffic) -> dict[str, Any]:
    """Before: warm-up to the first outage; during; after: its end to the next outage or the horizon.

    An outage that overlaps another leaves to `after` only what no outage touches.
    """
    found, run = traffic.outages, traffic.run
    first = min((outage.from_s for outage in found), default=run.horizon_s)
    inside = in_any(found, traffic.arrived_at_s)
    each = []
    for outage in found:
        later = [other.from_s for other in found if other.from_s >= outage.to_s]
        until = min(later, default=run.horizon_s)
        each.append(
            {
                "target": outage.target,
                "label": outage.label,
                "from_s": outage.from_s,
                "to_s": outage.to_s,
                "recovery_s": recovery_s(run, found, outage),
                "during": window(traffic, _arrived(traffic, outage.from_s, outage.to_s)),
                "after": window(traffic, _arrived(traffic, outage.to_s, until) & ~inside),
                "after_until_s": until,
            }
        )
    return {
        "before": window(traffic, _arrived(traffic, run.warm_up_s, first)),
        "during_any": window(traffic, inside),
        "outside": window(traffic, ~inside),
        "each": each,
    }


def window(traffic: Traffic, among: Mask) -> dict[str, Any]:
    """The numbers of one window, over the requests in `among`, accuracy over its held-out ones."""
    requests = traffic.requests
    final = requests["answered_at_s"].to_numpy(dtype=float) - traffic.arrived_at_s
    share = traffic.resampling.share
    count = int(among.sum())
    return {
        "requests": count,
        "accuracy": share(traffic.correct, among & traffic.held_out),
        "client_alone": share(np.asarray(requests["client_right"]), among & traffic.held_out),
        "answered_by_server_share": _share(traffic.is_answered_by("server"), among),
        "timed_out_share": _share(traffic.is_outcome("timed_out"), among),
        "refused_share": _share(traffic.is_outcome("refused"), among),
        "p95_latency_s": spread(final[among])["p95"],
        "amplification": amplification(traffic, among),
    }


def _arrived(traffic: Traffic, from_s: float, to_s: float) -> Mask:
    return np.asarray((traffic.arrived_at_s >= from_s) & (traffic.arrived_at_s < to_s))


def _share(hits: Mask, among: Mask) -> float | None:
    return float(hits[among].mean()) if among.any() else None
