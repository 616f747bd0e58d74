"""Which version each client has, over time: a step function per client, kept as flat arrays.
Made by `sim.world.release_schedule`; asked for whole chunks of requests at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Instants = NDArray[np.float64]
IN_ONE_THREAD = 10_000  # more than so many products OpenBLAS adds up in as many parts as there are cores


@dataclass(frozen=True)
class Versions:
    """Client c has `version[i]` from `at_s[i]` on, for first[c] <= i < first[c + 1].

    at_s: float64 (m,), ascending within a client, its first entry -inf; version: int32 (m,), ascending
    likewise, its first entry 0, but of `sim.world.cells`; first: int64 (clients + 1,).
    """

    at_s: Instants
    version: NDArray[np.int32]
    first: NDArray[np.int64]

    def of(self, client: NDArray[np.int32], at_s: Instants) -> NDArray[np.int32]:
        """Each client's version at an instant, int32 (n,); a version counts from its instant on."""
        return self.version[self._entries(client, at_s)]

    def one(self, client: int, at_s: float) -> int:
        """The same for one client."""
        first, end = int(self.first[client]), int(self.first[client + 1])
        place = (
            first if end - first == 1 else first - 1 + int(self.at_s[first:end].searchsorted(at_s, "right"))
        )
        return int(self.version[place])

    def total_before(self, at_s: Instants) -> NDArray[np.int64]:
        """The sum of all clients' versions just before each instant, int64 (n,)."""
        return self._totals[np.searchsorted(self._changes, at_s, side="left")]

    def last_use_s(self, first: int, end: int) -> Instants:
        """Until when clients first to end - 1 have each version, float64 by version; -inf: they never do."""
        if (first, end) not in self._last_uses:
            here, last = slice(self.first[first], self.first[end]), np.full(self.version.max() + 1, -np.inf)
            np.maximum.at(last, self.version[here], self._until[here])
            self._last_uses[first, end] = last
        return self._last_uses[first, end]

    def mean(self, first: int, end: int, from_s: float, until_s: float) -> float:
        """The mean version of clients first to end - 1 over [from_s, until_s), over both."""
        client = np.arange(first, end)
        low, high = self._entries(client, from_s), self._entries(client, until_s)
        many = high - low + 1
        here = np.repeat(low - (np.cumsum(many) - many), many) + np.arange(many.sum())
        began, ended = (np.clip(at_s[here], from_s, until_s) for at_s in (self.at_s, self._until))
        version, held_s = self.version[here], ended - began
        parts = (slice(place, place + IN_ONE_THREAD) for place in range(0, len(version), IN_ONE_THREAD))
        total = sum(float(version[part] @ held_s[part]) for part in parts)
        return total / ((until_s - from_s) * (end - first))

    def clients_of(self, version: int) -> NDArray[np.int32]:
        """The clients that have `version` at some time, ascending, int32."""
        entries = np.flatnonzero(self.version == version)
        return (np.searchsorted(self.first, entries, side="right") - 1).astype(np.int32)

    def between(
        self, client: NDArray[np.int32], after_s: Instants, until_s: float
    ) -> tuple[NDArray[np.int64], Instants, NDArray[np.int32]]:
        """What clients come to have after an instant each, before `until_s`: which of `client`, from when on,
        which version; by client and then by time, (m,) each."""
        low = self._entries(client, after_s)
        many = np.maximum(self._entries(client, np.nextafter(until_s, -np.inf)) - low, 0)
        which = np.repeat(np.arange(len(client)), many)
        entry = np.repeat(low + 1 - (np.cumsum(many) - many), many) + np.arange(many.sum())
        return which, self.at_s[entry], self.version[entry]

    def counted(self, counts: NDArray[np.int32], group: NDArray[np.integer]) -> Versions:
        """The same in other numbers: counts, (versions, groups), of each version for clients of a group."""
        client = np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))
        return Versions(self.at_s, counts[self.version, group[client]], self.first)

    def _entries(self, client: NDArray[np.integer], at_s: Instants | float) -> NDArray[np.int64]:
        """The entry in force for each client at an instant."""
        if len(self.at_s) == len(self.first) - 1:  # nobody ever has a second one
            return client.astype(np.int64)
        low, high = self.first[client], self.first[client + 1] - 1
        while np.any(low < high):  # bisection, for all at once
            middle = (low + high + 1) // 2
            reached = self.at_s[middle] <= at_s
            low, high = np.where(reached, middle, low), np.where(reached, high, middle - 1)
        found: NDArray[np.int64] = low
        return found

    @cached_property
    def _last_uses(self) -> dict[tuple[int, int], Instants]:
        return {}

    @cached_property
    def _until(self) -> Instants:
        """When each entry gives way to its client's next; its last holds for ever."""
        until = np.append(self.at_s[1:], np.inf)
        until[self.first[1:] - 1] = np.inf
        return until

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        """The entries after each client's first, by time."""
        later = np.setdiff1d(np.arange(len(self.at_s)), self.first[:-1], assume_unique=True)
        return later[np.argsort(self.at_s[later], kind="stable")]

    @cached_property
    def _changes(self) -> Instants:
        return self.at_s[self._order]

    @cached_property
    def _totals(self) -> NDArray[np.int64]:
        steps = self.version[self._order].astype(np.int64) - self.version[self._order - 1]
        return np.concatenate([[0], np.cumsum(steps)])


class Log:
    """Collects what comes into force, version after version, before the horizon."""

    def __init__(self, clients: int, horizon_s: float) -> None:
        self._clients, self._horizon_s = clients, horizon_s
        every = np.arange(clients)
        self._parts = [(every, np.full(clients, -np.inf), np.zeros(clients, dtype=np.int32))]

    def add(self, version: int | NDArray[np.int32], who: NDArray[np.bool_], at_s: Instants) -> None:
        """Clients `who`, bool (clients,), have `version` from `at_s` on; both may differ between them."""
        index = np.flatnonzero(who & (at_s < self._horizon_s))
        versions = np.broadcast_to(np.asarray(version, dtype=np.int32), self._clients)
        self._parts.append((index, at_s[index], versions[index]))

    def versions(self) -> Versions:
        """All of it, by client and then by version."""
        client, at_s, version = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        order = np.lexsort((version, client))
        first = np.searchsorted(client[order], np.arange(self._clients + 1))
        return Versions(at_s[order], version[order], first)
