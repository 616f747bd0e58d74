"""Who is on which shared link, from the columns of the state: array operations between two stretches.
Asked by `sim.engine.arrays.known_events`, and for the table of links and its audit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.engine.passages import Passages
from sim.engine.state import State
from sim.world.parameters import Parameters

Floats = NDArray[np.float64]


def link_of_sends(parameters: Parameters, state: State) -> NDArray[np.int64]:
    """The shared link that each attempt is at, or on its way to; -1: none."""
    sends = state.sends
    found = np.full(len(sends["row"]), -1, dtype=np.int64)
    group = parameters.clients.group[state.rows["client"][sends["row"]]]
    for g, options in enumerate(parameters.options):
        for place, option in enumerate(options):
            if option.over:
                mine = np.flatnonzero((sends["hop"] >= 0) & (group == g) & (sends["option"] == place))
                found[mine] = np.array(option.over)[sends["hop"][mine]]
    return found


def passages(parameters: Parameters, state: State, passed: Floats, end: float) -> Passages:
    """What has passed, as `Played` tells it, and what is on links before `end`."""
    if not parameters.network.names:
        return Passages.none()
    sends = state.sends
    link = link_of_sends(parameters, state)
    here = np.flatnonzero((link >= 0) & (sends["joined"] < end))
    group = parameters.clients.group[state.rows["client"][sends["row"][here]]]
    first = np.cumsum([0, *map(len, parameters.options)])
    bits = np.array([option.bits for options in parameters.options for option in options])
    return Passages(
        np.append(passed[:, 0].astype(np.int64), link[here]),
        np.append(passed[:, 1], sends["joined"][here]),
        np.append(passed[:, 2], np.full(len(here), np.inf)),
        np.append(passed[:, 3], bits[first[group] + sends["option"][here]]),
    )
