"""The shared links as arrays: the ways that lead over them, their bandwidth, and what is on them.
Made for each stretch from the run's rules and the state; parts of what the handlers work on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sim.engine.arrays.parameters import Flags, Floats, Ints
from sim.engine.arrays.room import Heap, heap_of, longer, wider
from sim.engine.state import State
from sim.world.network import Bandwidths
from sim.world.parameters import Parameters

PASSED = 4  # numbers noted of each payload that has passed a link


class Network(NamedTuple):
    """Of option o, counted over all groups, the way leads over `links` first[o] to first[o + 1] - 1, and a
    payload has so many bits.

    Per link: whether payloads share it; `level`, in bits, and `seen`, as `State` has them; how many are on
    it; when which attempt will have passed next, of a link that is shared (-1: none). line: per shared link
    who is on it, by the level at which it will have passed. passed: (n, 4), per payload that has passed a
    link in this stretch the link, when it came, when it had passed, and bits.
    """

    first: Ints
    links: Ints
    bits: Floats
    is_shared: Flags
    lines: Bandwidths
    level: Floats
    seen: Floats
    inside: Ints
    due_at: Floats
    due: Ints
    line: Heap
    passed: Floats


def network_of(parameters: Parameters, state: State) -> Network:
    """As it stands in the state."""
    every, n = [option for options in parameters.options for option in options], len(parameters.network.names)
    return Network(
        first=np.append(0, np.cumsum([len(option.over) for option in every], dtype=np.int64)),
        links=np.array([link for option in every for link in option.over], dtype=np.int64),
        bits=np.array([option.bits for option in every], dtype=np.float64),
        is_shared=parameters.network.is_shared,
        lines=parameters.network.lines,
        level=state.network["level"],
        seen=state.network["seen"],
        inside=np.zeros(n, dtype=np.int64),
        due_at=np.zeros(n),
        due=np.full(n, -1, dtype=np.int64),
        line=heap_of(n, len(state.sends["row"]) if parameters.network.is_shared.any() else 0),
        passed=np.empty((64 if n else 0, PASSED)),
    )


def with_room(network: Network, sends: int, passed: int) -> Network:
    """With room for so many attempts, and twice as many notes if those are full."""
    notes = network.passed
    if len(notes) and passed >= len(notes):
        notes = longer(notes, passed, passed)
    is_short = network.is_shared.any() and network.line.at.shape[1] < sends
    line = Heap(*(wider(column, sends) for column in network.line)) if is_short else network.line
    return network._replace(line=line, passed=notes)
