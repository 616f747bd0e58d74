"""Bytes that attempts sent: each attempt the payload of the option that it asked.
Between the tables of requests and attempts and `analysis.run_folder.lean_requests`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.run_folder.run import Run
from sim.results import columns

CANCELLED = columns.CAUSES.index("cancelled")
MOST_ATTEMPTS = np.iinfo(np.int8).max  # as the column of a request's attempts holds


def bytes_up(
    run: Run, rows: dict[str, NDArray[Any]], group: NDArray[Any], cause: NDArray[Any]
) -> NDArray[np.int64]:
    """What one attempt of each row sent, (n,): nothing where it was called off before it left.

    rows: reached_at_s, and option where some clients may choose. group, cause: codes of the group and of
    `server_cause`.
    """
    sizes = _sizes(run)
    place = np.cumsum([0, *map(len, run.options.values())])[group]
    if run.has_options:
        place = place + np.maximum(rows["option"], 0)
    has_left = (cause != CANCELLED) | ~np.isnan(rows["reached_at_s"])
    sent: NDArray[np.int64] = np.where(has_left, sizes[place], 0)
    return sent


def items_sent(run: Run, rows: dict[str, NDArray[Any]], group: NDArray[Any]) -> NDArray[np.int64]:
    """How many payloads each request has, (n,): a block one more than its client drafts for one, but none
    beyond its session; any other request one. rows: first_item where some have sessions."""
    if not run.has_sessions:
        return np.ones(len(group), dtype=np.int64)
    rules = [one.get("session") or {"items": 1, "draft": 0} for one in run.groups.values()]
    first = rows["first_item"]
    items, draft = (np.array([int(rule[name]) for rule in rules])[group] for name in ("items", "draft"))
    found: NDArray[np.int64] = np.where(first < 0, 1, np.minimum(draft + 1, items - first % items))
    return found


def narrowest(run: Run) -> type[np.signedinteger[Any]]:
    """The type that holds what all attempts of a request sent, whatever their number."""
    items = max(int((one.get("session") or {"draft": 0})["draft"]) + 1 for one in run.groups.values())
    most = int(_sizes(run).max(initial=0)) * MOST_ATTEMPTS * items
    return np.int32 if most <= np.iinfo(np.int32).max else np.int64


def _sizes(run: Run) -> NDArray[np.int64]:
    """The payload of each option, group after group."""
    return np.array([int(one["link"]["payload_bytes"]) for group in run.options.values() for one in group])
