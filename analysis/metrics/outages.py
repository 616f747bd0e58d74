"""Before, during and after each outage: the same few numbers side by side.
A section of the summary; requests belong to the window in which they arrived."""

from __future__ import annotations

from typing import Any

from analysis.metrics.breakdown import breakdown
from analysis.metrics.recovery import (
    is_service_judged,
    normal_waiting,
    queue_recovery_s,
    service_recovery_s,
)
from analysis.metrics.run_length import span_of
from analysis.run_folder.outages import Outage, own_link_periods
from analysis.run_folder.parts import OF_EACH, WINDOWS, after_until_s
from analysis.run_folder.traffic import Traffic


def outages(traffic: Traffic) -> dict[str, Any]:
    """Before: warm-up to the first outage; during; after: its end to the next outage or the horizon.

    An outage that overlaps another leaves to `after` only what no outage touches.
    """
    run, relaxations = traffic.run, span_of(traffic).relaxations
    normal = normal_waiting(run, traffic.outages)
    each = [
        {
            "target": outage.target,
            "label": outage.label,
            "from_s": outage.from_s,
            "to_s": outage.to_s,
            **_recovery(traffic, outage, normal),
            **{
                name: breakdown(traffic, part(traffic, outage), relaxations) for name, part in OF_EACH.items()
            },
            "after_until_s": after_until_s(traffic, outage),
        }
        for outage in traffic.outages
    ]
    return {
        "normal_waiting": normal,
        "of_single_links": len(own_link_periods(run)),
        **{name: breakdown(traffic, part(traffic), relaxations) for name, part in WINDOWS.items()},
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
