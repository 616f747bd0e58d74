"""The table `federation`: what became of each round in which clients learned together, by group.
All of it follows from the scenario and from how many numbers a rejector shares."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.messages import NUMBER_BYTES
from sim.results.columns_learned import federation
from sim.world.federation import Clients, upload_bytes
from sim.world.world import World


def rounds_together(world: World) -> dict[str, list[Any]]:
    """Its columns, round after round, group after group of those that learn."""
    scenario, known = world.scenario, world.federated
    has_broken = scenario.federation is not None and scenario.federation.broken is not None
    asked = scenario.federation
    has_dropout = asked is not None and asked.dropout > 0
    shares = asked is not None and asked.has_one_uplink
    is_unequal = asked is not None and asked.unequal is not None
    names = federation(has_broken, has_dropout, shares, is_unequal).names
    found: dict[str, list[Any]] = {name: [] for name in names}
    if known is None:
        return found
    bounds = list(pairwise([*world.population.first, scenario.clients]))
    numbers = world.shared_numbers or (0,) * len(bounds)
    for held in known.rounds:
        for group, (first, end), shared in zip(scenario.fleet, bounds, numbers, strict=True):
            if not known.listens[first]:
                continue
            uploaded = _in(held.uploads, first, end).sum()
            uplinks = _in(held.heads, first, end).sum() if shares else uploaded
            size = upload_bytes(scenario, shared)
            received = _in(held.receives, first, end)
            arrived = held.received_at_s[received]
            row = (
                held.number,
                group.group,
                held.due_at_s,
                held.merges_at_s,
                held.fate,
                held.merged,
                _in(held.trains, first, end).sum(),
                uploaded,
                received.sum(),
                arrived.max() if len(arrived) else np.nan,
                uplinks * size,
                received.sum() * NUMBER_BYTES * shared,
                *((_in(held.broken, first, end).sum(),) if has_broken else ()),
                *((_in(held.dropped, first, end).sum(),) if has_dropout else ()),
                *((uplinks, _in(held.gives, first, end).sum() * size) if shares else ()),
                *(_bounds(held.steps[_in(held.trains, first, end)[: len(held.steps)]]) if is_unequal else ()),
            )
            for name, value in zip(found, row, strict=True):
                found[name].append(value)
    return found


def _bounds(steps: Clients) -> tuple[int, int]:
    """The least and the most; 0 of nobody."""
    return (int(steps.min()), int(steps.max())) if len(steps) else (0, 0)


def _in(who: Clients, first: int, end: int) -> NDArray[np.bool_]:
    """Which of these clients are first to end - 1."""
    return (first <= who) & (who < end)
