"""The parts of a run's traffic that numbers are told of: windows around outages, groups, whom they asked.
Named as the summary names them, so that a number of one run and of many is about the same requests."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from analysis.run_folder.arrivals import Arrivals, Mask
from analysis.run_folder.outages import Outage
from analysis.run_folder.run import Run
from analysis.run_folder.servers import switches
from analysis.statistics.cells import order_of
from analysis.statistics.room import places_in

Part = Callable[[Arrivals], Mask]
Rows = NDArray[np.int32]


def _everyone(of: Arrivals) -> Mask:
    return np.ones(of.count, dtype=bool)


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
OF_WHOM = ("groups", "servers", "models", "options", "cells")


def _during(of: Arrivals, outage: Outage) -> Rows:
    return rows_between(of, outage.from_s, outage.to_s)


def _after(of: Arrivals, outage: Outage) -> Rows:
    rows = rows_between(of, outage.to_s, after_until_s(of, outage))
    return rows[~of.in_outages[rows]]


OF_EACH: dict[str, Callable[[Arrivals, Outage], Rows]] = {"during": _during, "after": _after}


def part_of(of: Arrivals, path: str) -> Mask | None:
    """Which requests the numbers at a path of the summary are about, bool (n,); None where there is no such
    part in this run.

    path: `outages.NAME`, `outages.each.NUMBER.NAME`, `groups.GROUP.NAME` and so of servers, models, options
    (GROUP/OPTION) and cells, or below `latency_s`.
    """
    if path in ("latency_s.first", "latency_s.final"):
        return _everyone(of)
    section, _, rest = path.partition(".")
    around, _, name = rest.rpartition(".")
    if section == "latency_s" and around == "by_outcome":
        return of.is_outcome(name)
    if section in OF_WHOM and around in names_of(of.run, section) and name in OF_GROUPS:
        return of_whom(of, section, around) & OF_GROUPS[name](of)
    if section == "outages" and not around and name in WINDOWS:
        return WINDOWS[name](of)
    each = re.fullmatch(r"each\.(\d+)", around)
    if section == "outages" and each and int(each[1]) < len(of.outages) and name in OF_EACH:
        among = np.zeros(of.count, dtype=bool)
        among[OF_EACH[name](of, of.outages[int(each[1])])] = True
        return among
    return None


def names_of(run: Run, section: str) -> list[str]:
    """The parts of a section of `OF_WHOM`; those by whom was asked only where clients have several options,
    or there are several servers or models; cells where clients move."""
    if section == "groups":
        return list(run.groups)
    if section == "cells":
        return [cell for cell in run.cells if cell]
    if section == "servers":
        return list(run.servers) if len(run.servers) > 1 else []
    models = models_asked(run)
    if section == "models" and (run.has_options or len(models) > 1):
        return models
    if not run.has_options:
        return []
    return [f"{group}/{one['option']}" for group, options in run.options.items() for one in options]


def models_asked(run: Run) -> list[str]:
    """The models that may answer, in the order of options, and of a server that chooses among its own."""
    found: list[str] = []
    for one in (one for options in run.options.values() for one in options):
        server = run.servers[one["server"]]
        found += server["models"] or list(run.scenario["models"]) if switches(server) else [one["model"]]
    return list(dict.fromkeys(found))


def of_whom(of: Arrivals, section: str, name: str) -> Mask:
    """Which requests are a group's; or came in a cell; or asked a server, a model or an option last."""
    of_what = section.removesuffix("s")
    if section in ("groups", "cells"):
        return of.is_named(of_what, name)
    sent = of.column("attempts") > 0
    if section == "options":
        group, _, option = name.partition("/")
        place = [one["option"] for one in of.run.options[group]].index(option)
        return np.asarray(of.is_of_group(group) & (of.column("option") == place))
    if of.run.has_options:
        return np.asarray(sent & of.is_named(of_what, name))
    asks = [group for group, options in of.run.options.items() if options[0][of_what] == name]
    return np.asarray(sent & np.logical_or.reduce([of.is_of_group(group) for group in asks]))


def arrived(of: Arrivals, from_s: float, to_s: float) -> Mask:
    """Which requests arrived in [from, to)."""
    return np.asarray((of.arrived_at_s >= from_s) & (of.arrived_at_s < to_s))


def rows_between(of: Arrivals, from_s: float, to_s: float) -> Rows:
    """The places of the same, ascending: they stand in the order in which they arrived."""
    first, end = np.searchsorted(of.arrived_at_s, [from_s, to_s])
    return np.arange(first, end, dtype=np.int32)


def rows_of_groups(of: Arrivals) -> dict[str, Rows]:
    """The places of each group's requests, ascending."""
    codes, names = of.codes("group")
    order = order_of(codes, len(names))
    counts = np.bincount(codes, minlength=len(names))
    return dict(zip(names, np.split(order, np.cumsum(counts)[:-1]), strict=True))


def rows_of(of: Arrivals, section: str) -> dict[str, Rows]:
    """The places of the requests of each part of a section of `OF_WHOM`, ascending."""
    if section == "groups":
        return rows_of_groups(of)
    return {name: places_in(of_whom(of, section, name)) for name in names_of(of.run, section)}


def after_until_s(of: Arrivals, outage: Outage) -> float:
    """When the time after an outage is over: as the next one begins, or at the horizon."""
    return min(of.next_begin_s(outage.to_s), of.run.horizon_s)
