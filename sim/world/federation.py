"""When clients learn together: rounds, uploads, merges and broadcasts over time, before any traffic.
Pure functions of the scenario and of how many numbers a rejector shares; `sim.engine.learning` walks along
them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sim.messages import NUMBER_BYTES
from sim.periods import begin_of, periods_before
from sim.registry.scores import SCORES
from sim.scenario import Group, Scenario
from sim.streams import Draws
from sim.world.cells import Cells
from sim.world.neighbours import BetweenTimes, alone, clusters_of, gathered
from sim.world.outages.capacity import Capacity
from sim.world.outages.links import Links
from sim.world.population import Population
from sim.world.presence import Presence
from sim.world.reachable import Reachable, TransferTimes
from sim.world.trained import usable_of
from sim.world.unequal_devices import broken_clients, device_steps
from sim.world.versions import Log, Versions

Instants = NDArray[np.float64]
Clients = NDArray[np.int32]
NOBODY: Clients = np.empty(0, dtype=np.int32)
FATES = ("merged", "lost", "own", "unfinished")


@dataclass(frozen=True)
class FederationRound:
    """One round, and its fate.

    "merged": the server merged what had been uploaded by `merges_at_s`; "lost": it was down then, or nothing
    was there; "own": nothing is merged, as the scenario has it then; "unfinished": it would merge, or the
    rejectors would be ready, at or after the horizon. merged: the number of the merged version, 0 if there is
    none. trains: who takes part; dropped: who of these drops out; uploads: whose rejector was there in time;
    broken: for which of these it was wrong; receives, at received_at_s: who was sent the merged one and got
    it before its next round and the horizon. All ascending. Of neighbours near: of each of `trains` the first
    client of its cluster; with one uplink gives: who sent theirs to another, who uploads it; heads: whose
    upload was there in time. steps: of each of `trains`, where devices are not equally fast.
    """

    number: int
    due_at_s: float
    merges_at_s: float
    fate: str
    merged: int = 0
    trains: Clients = field(default_factory=lambda: NOBODY)
    uploads: Clients = field(default_factory=lambda: NOBODY)
    broken: Clients = field(default_factory=lambda: NOBODY)
    dropped: Clients = field(default_factory=lambda: NOBODY)
    receives: Clients = field(default_factory=lambda: NOBODY)
    received_at_s: Instants = field(default_factory=lambda: np.empty(0))
    gives: Clients = field(default_factory=lambda: NOBODY)
    heads: Clients = field(default_factory=lambda: NOBODY)
    near: Clients = field(default_factory=lambda: NOBODY)
    steps: Clients = field(default_factory=lambda: NOBODY)

    @property
    def clusters(self) -> Clients:
        """Of each of `uploads` the first client of its cluster; nobody where each uploads for itself."""
        return self.near[np.isin(self.trains, self.uploads)] if len(self.heads) else NOBODY


@dataclass(frozen=True)
class RejectorUpdate:
    """What learners do at an instant: train in a round, or merge. With rejectors it makes their next version,
    counted from 1 in order of time."""

    at_s: float
    in_force_at_s: float
    merges: bool
    of: FederationRound


@dataclass(frozen=True)
class Federated:
    """All instants of it.

    updates: in order of time. copies: which merged version each client got last; rejectors: which version of
    all it decides by, of which there is one for each update, `of_rejectors`, or none but 0 where something
    else is learned. heads: which version of all its head has, likewise. listens: bool (clients,), who learns.
    """

    rounds: tuple[FederationRound, ...]
    updates: tuple[RejectorUpdate, ...]
    copies: Versions
    rejectors: Versions
    listens: NDArray[np.bool_]
    of_rejectors: bool
    heads: Versions


def federated(
    scenario: Scenario,
    clients: Population,
    presence: Presence,
    cells: Cells,
    numbers: tuple[int, ...],
    drawn: Capacity,
    links: Links,
) -> Federated:
    """Rounds are due at k·every_s. A client that takes part trains at once, and is ready after steps·step_s.

    Then it uploads what is shared, at the first instant at which the server and its link are up; what its
    link breaks off, or meets the server down, starts over. At due + wait_s the server merges what is there,
    if it is up, and sends it to all who took part in the round and had a fellow's upload in theirs. A
    broadcast that does not arrive before its client's next round is of no use and not sent. Who drops out
    neither uploads nor is sent anything in that round; in personal rounds of heads nobody does. numbers: how
    many a rejector shares, by group. Who is away as a round is due takes no part in it. drawn: what outages
    leave of the server.
    """
    assert scenario.federation is not None
    reachable = Reachable(usable_of(scenario, drawn), links, clients.size)
    walk = _Walk(scenario, clients, presence, cells, numbers, reachable)
    every_s = scenario.federation.every_s
    due_s = begin_of(np.arange(1, periods_before(scenario.horizon_s, every_s)), every_s).tolist()
    for number, due in enumerate(due_s, start=1):
        walk.hold(number, due, due_s[number] if number < len(due_s) else scenario.horizon_s)
    return Federated(
        tuple(walk.rounds),
        tuple(walk.updates),
        walk.copies.versions(),
        walk.rejectors.versions(),
        walk.listens,
        scenario.federation.learns == "rejectors",
        walk.heads.versions(),
    )


def upload_bytes(scenario: Scenario, numbers: int) -> int:
    """Size of an upload: the numbers, and where they are weighed by it their precision."""
    federation = scenario.federation
    twice = federation is not None and federation.merge == "laplace"
    return NUMBER_BYTES * numbers * (2 if twice else 1)


class _Walk:
    """From round to round, all clients together."""

    def __init__(
        self,
        scenario: Scenario,
        clients: Population,
        presence: Presence,
        cells: Cells,
        numbers: tuple[int, ...],
        reachable: Reachable,
    ) -> None:
        assert scenario.federation is not None
        self._scenario, self._federation = scenario, scenario.federation
        self._clients, self._presence, self._reachable, n = clients, presence, reachable, clients.size
        self.listens = np.array([_learns(scenario, group) for group in scenario.fleet])[clients.group]
        sizes = [
            (upload_bytes(scenario, many), NUMBER_BYTES * many)
            for many in (numbers or (0,) * len(scenario.fleet))
        ]
        self._times = [
            (TransferTimes(scenario, group, "upload", up), TransferTimes(scenario, group, "broadcast", down))
            for group, (up, down) in zip(scenario.fleet, sizes, strict=True)
        ]
        self._absent = Draws(scenario.seed, "absent from a round")
        self._drops_out = Draws(scenario.seed, "dropped out of a round")
        self._set_of, self._cells = _sets(scenario, clients), cells
        self._up_bytes = np.array([up for up, _ in sizes])[clients.group]
        self._broken, self._steps = broken_clients(scenario), device_steps(scenario, n)
        self.rounds: list[FederationRound] = []
        self.updates: list[RejectorUpdate] = []
        self._merged = 0
        self.copies, self.rejectors, self.heads = (Log(n, scenario.horizon_s) for _ in range(3))

    def hold(self, number: int, due_s: float, next_s: float) -> None:
        """One round; next_s: when the next one is due, or the horizon."""
        federation, horizon_s = self._federation, self._scenario.horizon_s
        ready_s, merges_s = due_s + federation.steps * federation.step_s, due_s + federation.wait_s
        if ready_s >= horizon_s:
            self.rounds.append(FederationRound(number, due_s, merges_s, "unfinished"))
            return
        every = np.arange(self._clients.size, dtype=np.int32)
        is_there = self._presence.is_there(np.full(len(every), due_s), every)
        present = self.listens & is_there & self._has_none(self._absent, federation.absent, number)
        held = FederationRound(number, due_s, merges_s, "own")
        if self._steps is not None:
            present &= self._steps > 0
            held = replace(held, steps=self._steps[present])
        held = replace(held, trains=_these(present))
        cluster = self._clusters(due_s)
        if cluster is not None:
            held = replace(held, near=cluster[present])
        if not federation.merges_at(due_s):
            self._train(held, present, ready_s)
            return
        if merges_s >= horizon_s:
            self._train(replace(held, fate="unfinished"), present, ready_s)
            return
        stays = present & self._has_none(self._drops_out, federation.dropout, number)
        known = alone(stays, ready_s)
        if cluster is not None and federation.has_one_uplink:
            known = gathered(cluster, stays, ready_s, self._to_neighbours(number), self._reachable)
        there_s = self._reachable.accepted(known.ready_at_s, self._take(number, 0), merges_s)
        heads = stays & (there_s <= merges_s)
        uploaded = stays & heads[known.head]
        held = replace(
            held,
            fate="lost",
            uploads=_these(uploaded),
            broken=_these(uploaded & self._broken),
            dropped=_these(present & ~stays),
            gives=_these(known.gives),
            heads=_these(heads) if federation.has_one_uplink else NOBODY,
        )
        is_up = float(self._reachable.server_next_up(np.array([merges_s]))[0]) == merges_s
        if not is_up or not uploaded.any():
            self._train(held, present, ready_s)
            return
        served = stays & np.isin(self._set_of, self._set_of[uploaded])
        arrives = self._reachable.arrivals(
            np.where(served, merges_s, np.inf), self._take(number, 1), min(next_s, horizon_s)
        )
        received = served & (arrives < min(next_s, horizon_s))
        self._merged += 1
        held = replace(
            held,
            fate="merged",
            merged=self._merged,
            receives=_these(received),
            received_at_s=arrives[received],
        )
        self._train(held, present, ready_s)
        self.updates.append(RejectorUpdate(merges_s, merges_s, True, held))
        self._decides_by(received, arrives)
        self.copies.add(self._merged, received, arrives)

    def _clusters(self, due_s: float) -> Clients | None:
        """The cluster of each client as a round is due, named by its first; None without neighbours."""
        neighbours = self._federation.neighbours
        if neighbours is None:
            return None
        every = np.arange(self._clients.size, dtype=np.int32)
        cell = self._cells.of(every, np.full(len(every), due_s))
        return clusters_of(self._set_of * self._cells.most + cell, neighbours.size)

    def _to_neighbours(self, number: int) -> Instants:
        """What it takes each client to send its numbers to a neighbour."""
        every = np.arange(self._clients.size)
        return BetweenTimes(self._scenario, "to a neighbour").of(every, number, self._up_bytes)

    def _train(self, held: FederationRound, present: NDArray[np.bool_], ready_s: float) -> None:
        self.rounds.append(held)
        self.updates.append(RejectorUpdate(held.due_at_s, ready_s, False, held))
        self._decides_by(present, np.full(len(present), ready_s))

    def _decides_by(self, who: NDArray[np.bool_], at_s: Instants) -> None:
        """What the last update made; who learns no rejectors decides as before."""
        made = {"rejectors": self.rejectors, "heads": self.heads}.get(self._federation.learns)
        if made is not None:
            made.add(len(self.updates), who, at_s)

    def _has_none(self, draws: Draws, share: float, number: int) -> NDArray[np.bool_]:
        """Whom a misfortune that befalls a share of all does not befall in a round, bool (clients,)."""
        every = np.arange(self._clients.size)
        if not share:
            return np.ones(len(every), dtype=bool)
        return draws.many(every, number) >= share

    def _take(self, number: int, direction: int) -> Instants:
        """What the transfer of a round takes each client, up (0) or down (1)."""
        every, takes = np.arange(self._clients.size), np.zeros(self._clients.size)
        for g, times in enumerate(self._times):
            mine = np.flatnonzero(self._clients.group == g)
            takes[mine] = times[direction].of(every[mine], number)
        return takes


def _learns(scenario: Scenario, group: Group) -> bool:
    if scenario.shares_prototypes:
        return group.fallback == "prototype"
    if scenario.shares_heads:
        return group.reply == "features"
    return SCORES[group.policy.score].needs_rejector


def _sets(scenario: Scenario, clients: Population) -> NDArray[np.int64]:
    """Per client a number that those share whose rejectors are merged."""
    assert scenario.federation is not None
    number = clients.group.astype(np.int64) << 32
    return number + clients.variant if scenario.federation.among == "variant" else number


def _these(who: NDArray[np.bool_]) -> Clients:
    return np.flatnonzero(who).astype(np.int32)
