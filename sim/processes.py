"""What every arrival process of a group does, the Poisson process, and processes that remember.
`sim.arrivals` puts the groups together; nothing here depends on the policy, nor on what was asked before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sim.population import Block
from sim.scenario.arrivals import Poisson, Shape
from sim.scenario.rates import operational_s
from sim.scenario.values import CHUNK_S
from sim.shapes import inverse
from sim.streams import stream

Columns = dict[str, NDArray[Any]]
Instants = NDArray[np.float64]
Drawn = tuple[Instants, NDArray[np.int32]]  # instants and clients, by client and then by time


class Group(Protocol):
    """The arrivals of one group of clients, whose ids run from `first`."""

    def draw(self, start_s: float, end_s: float) -> Drawn:
        """Those in [start_s, end_s); cheapest where the last draw ended."""

    def state(self) -> Columns:
        """What has to be kept between two draws, as arrays of its own."""

    def restore(self, state: Columns) -> None:
        """Goes on where `state` was taken."""


class PoissonGroup:
    """Poisson arrivals: no memory, so nothing is kept.

    A block of m clients gets, for each minute, N ~ Poisson(m·rate·minute) requests at uniform instants of
    operational time and uniform clients (the superposition theorem read backwards).
    """

    def __init__(self, seed: int, process: Poisson, shape: Shape, blocks: list[Block]) -> None:
        self._seed, self._rate_hz, self._blocks = seed, process.rate_hz, blocks
        self._shape, self._inverse = shape, inverse(shape)

    def draw(self, start_s: float, end_s: float) -> Drawn:
        cells = range(int(start_s // CHUNK_S), int(np.ceil(end_s / CHUNK_S)))
        drawn = [part for cell in cells for part in self._minute(cell)]
        at, client = (np.concatenate(column) for column in zip(*drawn, strict=True))
        kept = (at >= start_s) & (at < end_s)
        return sort(at[kept], client[kept])

    def _minute(self, cell: int) -> Iterator[Drawn]:
        """Minute number `cell`, block by block, in no order."""
        begins_s, ends_s = cell * CHUNK_S, (cell + 1) * CHUNK_S
        begins = operational_s(self._shape, begins_s)
        lasts = operational_s(self._shape, ends_s) - begins
        for block in self._blocks:
            draw = stream(self._seed, "arrivals", block.index, cell)
            count = draw.poisson(block.size * self._rate_hz * lasts)
            at = self._inverse(begins + draw.random(count) * lasts)
            client = draw.integers(block.first, block.first + block.size, count, dtype=np.int32)
            yield np.clip(at, begins_s, np.nextafter(ends_s, 0.0)), client

    def state(self) -> Columns:
        return {}

    def restore(self, state: Columns) -> None:
        pass


class Carried:
    """A process with a memory: it goes forward, and starts over when an earlier instant is asked.

    Subclasses give `_advance`, `begin`, and the names of their arrays. The law: the arrivals of a stretch
    are the same in whatever pieces it and all before it were drawn.
    """

    KEPT: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.begin()
        self.position_s = 0.0

    def begin(self) -> None:
        """The state at t = 0."""
        raise NotImplementedError

    def _advance(self, end_s: float) -> Drawn:
        """Arrivals from the position up to `end_s`."""
        raise NotImplementedError

    def draw(self, start_s: float, end_s: float) -> Drawn:
        if start_s < self.position_s:
            self.begin()
            self.position_s = 0.0
        while self.position_s < start_s:
            self._move(min(self.position_s + CHUNK_S, start_s))
        return self._move(end_s)

    def _move(self, end_s: float) -> Drawn:
        drawn = self._advance(end_s)
        self.position_s = end_s
        return drawn

    def state(self) -> Columns:
        kept = {name: np.array(getattr(self, name)) for name in self.KEPT}
        return kept | {"position_s": np.array(self.position_s)}

    def restore(self, state: Columns) -> None:
        for name in self.KEPT:
            setattr(self, name, state[name].copy())
        self.position_s = float(state["position_s"])


def sort(at_s: Instants, client: NDArray[np.int32]) -> Drawn:
    """By client and then by time; what is simultaneous keeps its order."""
    order = np.lexsort((at_s, client))
    return at_s[order], client[order]


def covering(shape: Shape, end_s: float) -> float:
    """Operational time that surely covers whatever arrives before `end_s`, rounding included."""
    end = operational_s(shape, end_s)
    return end + 1e-9 + 1e-12 * end
