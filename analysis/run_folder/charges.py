"""Which attempts of a run were charged, and at what price: what the tables tell of it, and what the scenario.
Asked by `analysis.run_folder.lean_requests`, part by part."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.run_folder.outages import usable_steps
from analysis.run_folder.run import Run
from sim.results import columns

Array = NDArray[Any]
REFUSALS = ("down", "queue_full", "admission")  # causes of who was not let in


def tells_by_cost(run: Run) -> bool:
    """Whether what a request cost tells how many of its attempts were charged: all cost the same, not 0."""
    return float(run.scenario["costs"]["c_e"]) > 0 and not run.has_own_costs and not run.has_several_prices


def charged_attempts(
    run: Run, rows: dict[str, Array], cause: NDArray[np.int16], is_remote: NDArray[np.bool_]
) -> NDArray[np.int16]:
    """Charged attempts per request: the cost in units of c_e, which is stored in single precision.

    rows: the columns of requests, each (n,); of several servers server, as its place among them. Where the
    cost does not tell, the rule of `charge_on` does, of requests with one attempt; what it takes in of those
    with several is in the attempts' own table.
    """
    rule = run.scenario["costs"]["charge_on"]
    if tells_by_cost(run):
        c_e = float(run.scenario["costs"]["c_e"])
        return np.rint(rows["cost"].astype(np.float64) / c_e).astype(np.int16)
    if rule == "send":
        return rows["attempts"].astype(np.int16)
    if rule == "answer":
        return is_remote.astype(np.int16)
    came = (rows["attempts"] > 0) & (rows["reached_at_s"] < run.horizon_s)
    turned_away = np.isin(cause, [columns.CAUSES.index(name) for name in REFUSALS])
    asked = rows.get("server", np.zeros(came.size, dtype=np.int64))
    for place, (name, server) in enumerate(run.servers.items()):
        if server["when_down"] == "silent":
            at_s, usable = usable_steps(run, name)
            there = usable[np.maximum(np.searchsorted(at_s, rows["reached_at_s"], "right") - 1, 0)]
            turned_away |= (asked == place) & (there == 0)
    return (came & ~turned_away).astype(np.int16)


def price_of(run: Run, group: NDArray[np.int16], option: NDArray[np.int8]) -> NDArray[np.float64]:
    """c_e of a send to each request's option, of its group's first where none was asked (-1); (n,)."""
    options = run.options.values()
    first = np.cumsum([0, *map(len, options)])[group]
    prices = np.array([float(one["c_e"]) for of_group in options for one in of_group])
    found: NDArray[np.float64] = prices[first + np.maximum(option, 0)]
    return found
