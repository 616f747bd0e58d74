"""Where models go: a search over placements by what each is seen to serve, one after another.
Pure; whoever asks says what fits and plays the placements. After AlpaServe (OSDI 2023), algorithm 1."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, combinations, product
from math import prod
from typing import NamedTuple

Placement = frozenset[tuple[int, int]]  # of (server, model), by their places
NOTHING: Placement = frozenset()


class Room(NamedTuple):
    """What fits. memory_bytes: of each server, inf: enough; most: models that it may have; needs_bytes: of
    each model; may: the pairs that somebody could ask."""

    memory_bytes: tuple[float, ...]
    most: tuple[int, ...]
    needs_bytes: tuple[float, ...]
    may: Placement

    def fit(self, server: int, models: tuple[int, ...]) -> bool:
        """Whether a server can have these models."""
        needed = sum(self.needs_bytes[model] for model in models)
        asked = all((server, model) in self.may for model in models)
        return asked and len(models) <= self.most[server] and needed <= self.memory_bytes[server]

    def holds(self, placed: Placement) -> bool:
        """Whether a placement fits."""
        servers = range(len(self.most))
        return all(self.fit(one, tuple(m for s, m in sorted(placed) if s == one)) for one in servers)

    def sets_of(self, server: int) -> list[tuple[int, ...]]:
        """Every set of models that a server can have, none included."""
        models = range(len(self.needs_bytes))
        sets = chain.from_iterable(combinations(models, n) for n in range(len(models) + 1))
        return [one for one in sets if self.fit(server, one)]


class Seen(NamedTuple):
    """What a placement was seen to serve, per second: answers of servers that came in time, in all and of
    each model; of each model requests that wanted it and got none; of each server requests that reached it.
    """

    placed: Placement
    goodput_hz: float
    served_hz: tuple[float, ...]
    unserved_hz: tuple[float, ...]
    reached_hz: tuple[float, ...]

    @property
    def rank(self) -> tuple[float, int, list[tuple[int, int]]]:
        """The best first: more served, then fewer copies, then the first by place."""
        return -self.goodput_hz, len(self.placed), sorted(self.placed)


def greedy(room: Room, begin: Seen, see: Callable[[Placement], Seen], beam: int = 3) -> list[Seen]:
    """Every placement that was looked at, the best first.

    From each of the `beam` best so far the `beam` models that are most unserved are placed once more, each
    into the server of those where it fits that fewest requests reach; until nothing fits.
    """
    known: dict[Placement, Seen] = {}
    best = [begin]
    while True:
        wanted = dict.fromkeys(one for seen in best for one in _further(room, seen, beam))
        new = [one for one in wanted if one not in known]
        if not new:
            return sorted(known.values(), key=lambda seen: seen.rank)
        known |= {one: see(one) for one in new}
        best = sorted((known[one] for one in new), key=lambda seen: seen.rank)[:beam]


def _further(room: Room, seen: Seen, beam: int) -> Iterator[Placement]:
    models = sorted(range(len(room.needs_bytes)), key=lambda model: (-seen.unserved_hz[model], model))
    found = 0
    for model in models:
        if seen.unserved_hz[model] <= 0 or found == beam:
            return
        free = [server for server in range(len(room.most)) if _fits(room, seen.placed, server, model)]
        if free:
            found += 1
            yield seen.placed | {(min(free, key=lambda server: (seen.reached_hz[server], server)), model)}


def _fits(room: Room, placed: Placement, server: int, model: int) -> bool:
    has = [other for where, other in placed if where == server]
    return model not in has and room.fit(server, tuple(sorted([*has, model])))


def number_of_all(room: Room) -> int:
    """How many placements fit."""
    return prod(len(room.sets_of(server)) for server in range(len(room.most)))


def every(room: Room) -> Iterator[Placement]:
    """All placements that fit but the empty one."""
    for chosen in product(*(room.sets_of(server) for server in range(len(room.most)))):
        if any(chosen):
            yield frozenset((server, model) for server, models in enumerate(chosen) for model in models)
