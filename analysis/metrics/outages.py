"""Before, during and after each outage: the same few numbers side by side.
A section of the summary; requests belong to the window in which they arrived."""

from __future__ import annotations

from typing import Any

from analysis.metrics.breakdown import breakdown
from analysis.metrics.recovery import normal_waiting, recoveries
from analysis.metrics.run_length import span_of
from analysis.run_folder.outages import own_link_periods
from analysis.run_folder.parts import OF_EACH, WINDOWS, after_until_s
from analysis.run_folder.traffic import Traffic
from analysis.statistics.room import places_in


def outages(traffic: Traffic) -> dict[str, Any]:
    """Before: warm-up to the first outage; during; after: its end to the next outage or the horizon.

    An outage that overlaps another leaves to `after` only what no outage touches.
    """
    relaxations = span_of(traffic).relaxations
    normal = normal_waiting(traffic.run, traffic.outages)
    each = [
        {
            "target": outage.target,
            "label": outage.label,
            "from_s": outage.from_s,
            "to_s": outage.to_s,
            **recovery,
            **{
                name: breakdown(traffic, part(traffic, outage), relaxations) for name, part in OF_EACH.items()
            },
            "after_until_s": after_until_s(traffic, outage),
        }
        for outage, recovery in zip(traffic.outages, recoveries(traffic, normal), strict=True)
    ]
    return {
        "normal_waiting": normal,
        "of_single_links": own_link_periods(traffic.run).client_id.size,
        **{name: breakdown(traffic, places_in(part(traffic)), relaxations) for name, part in WINDOWS.items()},
        "each": each,
    }
