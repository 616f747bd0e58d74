"""The parts of a run's traffic that numbers are told of: windows around outages, groups, outcomes.
Named as the summary names them, so that a number of one run and of many is about the same requests."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from analysis.run_folder.outages import Outage
from analysis.run_folder.traffic import Arrivals, Mask

Part = Callable[[Arrivals], Mask]


def _everyone(of: Arrivals) -> Mask:
    return np.ones(len(of.requests), dtype=bool)


def _before(of: Arrivals) -> Mask:
    return arrived(of, of.run.warm_up_s, min((one.from_s for one in of.outages), default=of.run.horizon_s))


WINDOWS: dict[str, Part] = {
    "whole_run": _everyone,
    "before": _before,
    "during_any": lambda of: of.in_outages,
    "affected": lambda of: of.is_affected,
    "own_links": lambda of: of.on_own_outage,
    "outside": lambda of: ~of.in_outages,
}
OF_GROUPS: dict[str, Part] = {
    "whole_run": _everyone,
    "affected": lambda of: of.is_affected,
    "unaffected": lambda of: ~of.is_affected,
}
OF_EACH: dict[str, Callable[[Arrivals, Outage], Mask]] = {
    "during": lambda of, outage: arrived(of, outage.from_s, outage.to_s),
    "after": lambda of, outage: arrived(of, outage.to_s, after_until_s(of, outage)) & ~of.in_outages,
}


def part_of(of: Arrivals, path: str) -> Mask | None:
    """Which requests the numbers at a path of the summary are about, bool (n,); None where there is no such
    part in this run.

    path: `outages.NAME`, `outages.each.NUMBER.NAME`, `groups.GROUP.NAME`, or below `latency_s`.
    """
    if path in ("latency_s.first", "latency_s.final"):
        return _everyone(of)
    section, _, rest = path.partition(".")
    around, _, name = rest.rpartition(".")
    if section == "latency_s" and around == "by_outcome":
        return of.is_outcome(name)
    if section == "groups" and around in of.run.groups and name in OF_GROUPS:
        return of_group(of, around) & OF_GROUPS[name](of)
    if section == "outages" and not around and name in WINDOWS:
        return WINDOWS[name](of)
    each = re.fullmatch(r"each\.(\d+)", around)
    if section == "outages" and each and int(each[1]) < len(of.outages) and name in OF_EACH:
        return OF_EACH[name](of, of.outages[int(each[1])])
    return None


def of_group(of: Arrivals, name: str) -> Mask:
    """Which requests are a group's."""
    return np.asarray(of.requests["group"] == name)


def arrived(of: Arrivals, from_s: float, to_s: float) -> Mask:
    """Which requests arrived in [from, to)."""
    return np.asarray((of.arrived_at_s >= from_s) & (of.arrived_at_s < to_s))


def after_until_s(of: Arrivals, outage: Outage) -> float:
    """When the time after an outage is over: as the next one begins, or at the horizon."""
    later = [other.from_s for other in of.outages if other.from_s >= outage.to_s]
    return min(later, default=of.run.horizon_s)
