"""What traces say of requests besides when they come: kept from their arrival until their rows are written.
Beside `state.rows`, since only traces say something and no clock asks for it; part of `sim.engine.window`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.scenario import Scenario

Columns = dict[str, NDArray[Any]]

# By column its type, and what it is of a request of no trace.
OF_TRACES: dict[str, tuple[str, float]] = {"trace_row": ("i8", -1), "work": ("f8", np.nan)}


def told_by_traces(scenario: Scenario) -> tuple[str, ...]:
    """The columns of `OF_TRACES` that some trace of the scenario has."""
    told = {name for group in scenario.fleet for name in group.arrivals.process.told()}
    return tuple(name for name in OF_TRACES if name in told)


def nothing_told(scenario: Scenario) -> Columns:
    """No requests, with the columns that there will be; without a trace none but `request_id`."""
    types = {"request_id": "i8"} | {name: OF_TRACES[name][0] for name in told_by_traces(scenario)}
    return {name: np.zeros(0, dtype=kind) for name, kind in types.items()}


def with_more(kept: Columns, request_id: NDArray[np.int64], told: Columns) -> Columns:
    """These requests, too, by `request_id`."""
    more = told | {"request_id": request_id}
    joined = {name: np.concatenate([column, more[name]]) for name, column in kept.items()}
    order = np.argsort(joined["request_id"], kind="stable")
    return {name: column[order] for name, column in joined.items()}


def taken(kept: Columns, request_id: NDArray[np.int64]) -> tuple[Columns, Columns]:
    """What is told of these requests, in their order, and what is kept without them."""
    if len(kept) == 1:
        return {}, kept
    n = len(kept["request_id"])
    place = np.searchsorted(kept["request_id"], request_id)
    is_there = np.append(kept["request_id"], -1)[place] == request_id
    place = np.where(is_there, place, n)
    found = {name: np.append(kept[name], OF_TRACES[name][1])[place] for name in kept if name in OF_TRACES}
    stays = np.ones(n + 1, dtype=bool)
    stays[place] = False
    return found, {name: column[stays[:n]] for name, column in kept.items()}
