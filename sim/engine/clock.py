"""What every clock takes and gives: a stretch of time with what is known of it, and what happened there.
`sim.engine.simpy_clock` and `sim.engine.compiled_clock` are such; `sim.engine.window` asks them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sim.engine.arrays.known_events import KnownEvents
from sim.engine.decisions import Undecided
from sim.engine.learning import Learning
from sim.engine.state import State


@dataclass(frozen=True)
class Stretch:
    """What a clock plays: [begin, end), what is known to come, and whom it must decide on the way."""

    begin: float
    end: float
    known: KnownEvents
    undecided: list[Undecided]


@dataclass(frozen=True)
class Played:
    """What the loop saw that its columns do not tell.

    area: of each server the integral of N(t), the number of sends in it, waiting or in service, counted as
    they come and go; whoever tabulates their stays can be checked against it. stopped: (size of its batch,
    start, stop, server) of every send that an outage put back into the queue, float64 (n, 4). steps: of each
    server (instant, usable replicas) wherever they changed, the first at the beginning; halts: at the same
    instants (instant, batches that stand still with their replicas, seconds of work thrown away there). A
    window may be played in pieces, which add up.
    """

    area: list[float]
    stopped: NDArray[np.float64]
    steps: list[list[tuple[float, int]]]
    halts: list[list[tuple[float, int, float]]]

    @staticmethod
    def nothing(servers: int) -> Played:
        nothing: list[list[Any]] = [[] for _ in range(servers)]
        return Played([0.0] * servers, np.zeros((0, 4)), nothing, nothing)

    def __add__(self, later: Played) -> Played:
        return Played(
            [one + more for one, more in zip(self.area, later.area, strict=True)],
            np.concatenate([self.stopped, later.stopped]),
            [one + more for one, more in zip(self.steps, later.steps, strict=True)],
            [one + more for one, more in zip(self.halts, later.halts, strict=True)],
        )


class Clock(Protocol):
    """Moves time: plays a stretch and leaves in the state what it changed."""

    def play(self, state: State, stretch: Stretch, learning: Learning) -> Played: ...

    def kept(self) -> list[Any]:
        """What it remembers besides the state, as plain values."""

    def restore(self, kept: list[Any]) -> None:
        """Goes on where `kept` was taken."""
