"""What every arrival process of a group does, the Poisson process, and processes that remember.
`sim.world.arrivals.source` puts the groups together; nothing here depends on the policy, nor on what was
asked before."""

from __future__ import annotations

from itertools import takewhile
from math import exp
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sim.scenario.schema.values import CHUNK_S
from sim.sorting import by_number, by_time
from sim.streams import Streams
from sim.world.arrivals.sparse import asked_of_blocks, is_sparse

if TYPE_CHECKING:
    from sim.registry.arrivals import Poisson
    from sim.registry.shapes import Shape
    from sim.world.population import Block

Columns = dict[str, NDArray[Any]]
Instants = NDArray[np.float64]


ENOUGH = 512  # blocks: fewer are drawn as fast one by one
STREAMS = 2**15  # drawn at once: what they take stays in the processor's cache


class InMinutes(NamedTuple):
    """Requests by the places of the minutes in which they come, the share of it that is over, and the client;
    (n,)."""

    minute: NDArray[np.int64]
    share: Instants
    client: NDArray[np.int32]


NOBODY = InMinutes(np.empty(0, dtype=np.int64), np.empty(0), np.empty(0, dtype=np.int32))


class Drawn(NamedTuple):
    """Instants and clients, by client and then by time; told: what a trace says of each, None without one."""

    at_s: Instants
    client: NDArray[np.int32]
    told: Columns | None = None


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
        self._streams = Streams(seed, "arrivals")
        self._rate_hz, self._blocks = process.rate_hz, blocks
        self._shape, self._inverse = shape, shape.inverse()
        self._last: tuple[tuple[int, int], Drawn] | None = None
        self._alike = blocks[0].size if blocks else 0  # all but the last are of this size
        alike = list(takewhile(lambda block: block.size == self._alike, blocks))
        many = alike if len(alike) >= ENOUGH else []
        self._firsts = np.array([block.first for block in many], dtype=np.int64)
        self._keys = self._streams.keys(block.index for block in many)

    def draw(self, start_s: float, end_s: float) -> Drawn:
        first = int(start_s // CHUNK_S)
        minutes = first, max(first + 1, int(np.ceil(end_s / CHUNK_S)))
        # Windows of seconds ask the same minute again and again.
        if self._last is None or self._last[0] != minutes:
            self._last = minutes, self._whole(*minutes)
        at, client, _ = self._last[1]
        kept = (at >= start_s) & (at < end_s)
        return sort(at[kept], client[kept])

    def _whole(self, first: int, end: int) -> Drawn:
        """Those of whole minutes, in no order."""
        edges = np.array([self._shape.operational_s(minute * CHUNK_S) for minute in range(first, end + 1)])
        minute, share, client = self._minutes(first, np.diff(edges))
        at = self._inverse(edges[minute] + share * np.diff(edges)[minute])
        at = np.clip(at, (first + minute) * CHUNK_S, np.nextafter((first + minute + 1) * CHUNK_S, 0.0))
        return Drawn(at, client)

    def _minutes(self, first: int, spans: Instants) -> InMinutes:
        """Who comes in the minutes from the first on, in no order; spans: of these in operational time.

        Where few ask, most blocks have nobody in most minutes, and those of one size are drawn at once.
        """
        found, means = [NOBODY], (self._alike * self._rate_hz * spans).tolist()
        few = [place for place, mean in enumerate(means) if is_sparse(mean, self._alike)]
        many = len(self._firsts)
        at_once = max(1, STREAMS // max(1, many))
        for begin in range(0, len(few) if many else 0, at_once):
            found.append(self._of_many(first, few[begin : begin + at_once], means))
        for place, span in enumerate(spans.tolist()):
            for block in self._blocks[many if is_sparse(means[place], self._alike) else 0 :]:
                draw = self._streams.of(block.index, first + place)
                count = draw.poisson(block.size * self._rate_hz * span)
                if count:
                    share, upto = draw.random(count), block.first + block.size
                    client = draw.integers(block.first, upto, count, dtype=np.int32)
                    found.append(InMinutes(np.full(count, place), share, client))
        return InMinutes(*(np.concatenate([one[column] for one in found]) for column in range(3)))

    def _of_many(self, first: int, places: list[int], means: list[float]) -> InMinutes:
        """Who of the blocks of one size comes in some of the minutes, told by their places."""
        keys = np.concatenate([self._keys(first + place) for place in places])
        nobody = np.repeat([exp(-means[place]) for place in places], len(self._firsts))
        asked = asked_of_blocks(keys, nobody, self._alike)
        minute = np.repeat(np.repeat(places, len(self._firsts)), asked.counts)
        client = np.repeat(np.tile(self._firsts, len(places)), asked.counts) + asked.place
        return InMinutes(minute, asked.share, client.astype(np.int32))

    def state(self) -> Columns:
        return {}

    def restore(self, state: Columns) -> None:
        pass


class NobodyBeforehand:
    """A closed loop: its requests follow from the answers, so `sim.engine.handlers.arriving` has them."""

    def draw(self, _start_s: float, _end_s: float) -> Drawn:
        return Drawn(np.empty(0), np.empty(0, dtype=np.int32))

    def state(self) -> Columns:
        return {}

    def restore(self, state: Columns) -> None:
        """Nothing is kept."""


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
    """By client and then by time."""
    order = by_time(at_s)
    order = order[by_number(client[order])]
    return Drawn(at_s[order], client[order])


def covering(shape: Shape, end_s: float) -> float:
    """Operational time that surely covers whatever arrives before `end_s`, rounding included."""
    end = shape.operational_s(end_s)
    return end + 1e-9 + 1e-12 * end
