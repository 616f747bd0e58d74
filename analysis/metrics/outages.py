"""Before, during and after each outage: the same few numbers side by side.
A section of the summary; requests belong to the window in which they arrived."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.metrics.breakdown import breakdown
from analysis.metrics.recovery import (
    is_service_judged,
    normal_waiting,
    queue_recovery_s,
    service_recovery_s,
)
from analysis.run_folder.outages import Outage, own_link_periods
from analysis.run_folder.traffic import Mask, Traffic


def outages(traffic: Traffic) -> dict[str, Any]:
    """Before: warm-up to the first outage; during; after: its end to the next outage or the horizon.

    An outage that overlaps another leaves to `after` only what no outage touches.
    """
    outages_seen, run = traffic.outages, traffic.run
    normal = normal_waiting(run, outages_seen)
    first = min((outage.from_s for outage in outages_seen), default=run.horizon_s)
    inside = traffic.in_outages
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
                **_recovery(traffic, outage, normal),
                "during": breakdown(traffic, _arrived(traffic, outage.from_s, outage.to_s)),
                "after": breakdown(traffic, _arrived(traffic, outage.to_s, until) & ~inside),
                "after_until_s": until,
            }
        )
    return {
        "normal_waiting": normal,
        "of_single_links": len(own_link_periods(run)),
        "whole_run": breakdown(traffic, np.ones(inside.shape, dtype=bool)),
        "before": breakdown(traffic, _arrived(traffic, run.warm_up_s, first)),
        "during_any": breakdown(traffic, inside),
        "affected": breakdown(traffic, traffic.is_affected),
        "own_links": breakdown(traffic, traffic.on_own_outage),
        "outside": breakdown(traffic, ~inside),
        "each": each,
    }


def _recovery(traffic: Traffic, outage: Outage, normal: float | None) -> dict[str, float | None]:
    """When all is as before: queue and service both, as far as each can be judged."""
    queue = queue_recovery_s(traffic.run, traffic.outages, outage, normal)
    service = service_recovery_s(traffic, outage)
    both = queue
    if queue is not None and is_service_judged(traffic, outage):
        both = None if service is None else max(queue, service)
    return {"recovery_s": both, "queue_recovery_s": queue, "service_recovery_s": service}


def _arrived(traffic: Traffic, from_s: float, to_s: float) -> Mask:
    return np.asarray((traffic.arrived_at_s >= from_s) & (traffic.arrived_at_s < to_s))
