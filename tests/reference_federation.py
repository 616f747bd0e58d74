"""Clients that learn together, told as SimPy processes beside `reference_loop`: rounds, uploads, merges.

When a transfer gets through is followed from obstacle to obstacle; everything else happens at its instant.
"""

from __future__ import annotations

from math import floor, inf
from typing import TYPE_CHECKING

import numpy as np
from reference_hand_over import Box
from reference_learning import BEGIN, COPY, IN_FORCE, READY, Life, School
from reference_server import alone

from sim.engine.events import Kind
from sim.messages import Deferred, Merge, TrainingRound, Update
from sim.registry.scores import SCORES
from sim.scenario.schema.fleet import Link
from sim.streams import Draws
from sim.world.delays import Delay
from sim.world.population import population
from sim.world.unequal_devices import broken_clients
from sim.world.world import World

if TYPE_CHECKING:
    from reference_loop import Request

NUMBER_BYTES = 4
NOTHING = Deferred(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int32), np.empty(0))


class Together(School):
    """`rejector` counts every update, trained or merged; `copy` the merged ones that a client has got."""

    def rounds(self) -> Life:
        federation, horizon = self.scenario.federation, self.scenario.horizon_s
        self.world, clients = World(self.scenario), population(self.scenario)
        self.variant = clients.variant.tolist()
        self.broken = broken_clients(self.scenario)
        self.nearest, self.merged_at = [None], [-inf]  # by merged version
        self.heads: list[list[tuple[float, int]]] = [
            [(-inf, 0)] for _ in self.group
        ]  # each client's, over time
        self.said = [()]  # by what heads, by version
        self.got: list[list[tuple[float, int]]] = [[] for _ in self.group]
        self.box = Box(self)
        number = 0
        while (due := (number + 1) * federation.every_s) < horizon:
            number += 1
            yield self.env.at(due, Kind.MODEL, BEGIN)
            ready = due + federation.steps * federation.step_s
            if ready >= horizon:
                continue
            present = self.present(number)
            version = self.learn(self.taught(number, ready, present))
            for client in present:
                self.env.process(self.becomes_ready(client, version, ready))
            merges = due + federation.wait_s
            is_own = federation.merge == "none" or (
                federation.heads is not None
                and federation.heads.personalise_at_s is not None
                and due >= federation.heads.personalise_at_s
            )
            if not is_own and merges < horizon:
                until = min((number + 1) * federation.every_s, horizon)  # when the next round is due
                clusters = self.clusters(due) if self.shares_uplinks else None
                self.env.process(self.merging(number, present, ready, merges, until, clusters))

    def present(self, number: int) -> list[int]:
        """Who learns, is there, and takes part."""
        every = np.arange(self.scenario.clients, dtype=np.int32)
        takes_part = Draws(self.scenario.seed, "absent from a round").many(every, number)
        is_there = self.world.presence.is_there(np.full(len(every), self.env.now), every)
        return [
            client
            for client in every.tolist()
            if self.learns(client)
            and is_there[client]
            and takes_part[client] >= self.scenario.federation.absent
            and self.steps(client) > 0
        ]

    def steps(self, client: int) -> int:
        """As many as fit into the time of a round."""
        federation = self.scenario.federation
        if federation.unequal is None:
            return federation.steps
        one = alone(Delay(self.scenario.seed, "step of a device", federation.unequal.step), client, 1)
        return min(floor(federation.steps * federation.step_s / one), 10 * federation.steps)

    def learns(self, client: int) -> bool:
        group = self.scenario.fleet[self.group[client]]
        if self.scenario.federation.learns == "prototypes":
            return group.fallback == "prototype"
        if self.scenario.federation.learns == "heads":
            return group.reply == "features"
        return SCORES[group.policy.score].needs_rejector

    def taught(self, number: int, ready: float, present: list[int]) -> Update:
        """What rejectors make of all answers that are known now, and of what neighbours handed over."""
        feedback = self.feedback(self.known())
        handed = self.box.hold(number, present, feedback)
        return self.learner.train_rejectors(
            TrainingRound(
                version=number,
                at_s=self.env.now,
                in_force_at_s=ready,
                deferred=NOTHING,
                feedback=feedback,
                trains=np.array(present, dtype=np.int32),
                handed=handed,
                steps=np.array(
                    [self.steps(client) for client in present] if self.scenario.federation.unequal else [],
                    dtype=np.int32,
                ),
            )
        )

    def learn(self, update: Update) -> int:
        """The number of an update; the old scores stay where it says nothing of a group."""
        self.score.append(
            tuple(old if new is None else new for old, new in zip(self.score[-1], update.score, strict=True))
        )
        self.said.append(update.heads)
        return len(self.score) - 1

    def becomes_ready(self, client: int, version: int, at: float) -> Life:
        yield self.env.at(at, Kind.MODEL, READY, client)
        self.decides_by(client, version)

    def decides_by(self, client: int, version: int) -> None:
        if self.scenario.federation.learns == "rejectors":
            self.rejector[client] = version
        if self.scenario.federation.learns == "heads":
            self.heads[client].append((self.env.now, version))

    @property
    def shares_uplinks(self) -> bool:
        neighbours = self.scenario.federation.neighbours
        return neighbours is not None and neighbours.one_uplink

    def clusters(self, due: float) -> list[list[int]]:
        """So many in order of those of a set that are in one cell as the round is due."""
        every = np.arange(self.scenario.clients, dtype=np.int32)
        cells = self.world.cells.of(every, np.full(len(every), due)).tolist()
        near: dict[tuple, list[int]] = {}
        for client in every.tolist():
            near.setdefault((self.set_of(client), cells[client]), []).append(client)
        size = self.scenario.federation.neighbours.size
        return [who[k : k + size] for who in near.values() for k in range(0, len(who), size)]

    def uploads(
        self, number: int, present: list[int], ready: float, merges: float, clusters: list[list[int]]
    ) -> list[int]:
        """Whose rejectors are there in time, each in what the head of its cluster uploads."""
        found: list[int] = []
        for cluster in clusters:
            there = [client for client in cluster if client in present]
            if not there:
                continue
            reach = [client for client in there if self.links.downtime(client).is_up(ready)]
            head = (reach or there)[0]
            gathered = max([ready, *(ready + self.gives(one, number) for one in there if one != head)])
            if self.arrival(head, number, "upload", gathered, merges) <= merges:
                found += there
        return sorted(found)

    def gives(self, client: int, number: int) -> float:
        """What it takes to a neighbour."""
        return self.between("to a neighbour", client, number, self.size(client, "upload"))

    def between(self, what: str, client: int, number: int, size: int) -> float:
        """A latency and the bytes, from device to device."""
        link = self.scenario.federation.neighbours.link
        transfer = 8.0 * size / link.bandwidth_bps if link.bandwidth_bps else 0.0
        return alone(Delay(self.scenario.seed, what, link.latency), client, number) + transfer

    def merging(
        self,
        number: int,
        present: list[int],
        ready: float,
        merges: float,
        until: float,
        clusters: list[list[int]] | None,
    ) -> Life:
        """The server merges what is there, if it is up, and tells those in whose set somebody has sent."""
        yield self.env.at(merges, Kind.MODEL, IN_FORCE)
        dropout = Draws(self.scenario.seed, "dropped out of a round")
        present = [
            client for client in present if dropout.one(client, number) >= self.scenario.federation.dropout
        ]
        alike = [[client] for client in present] if clusters is None else clusters
        sent = self.uploads(number, present, ready, merges, alike)
        if not self.usable or not sent:
            return
        sets = {self.set_of(client) for client in sent}
        arrivals = {
            client: self.arrival(client, number, "broadcast", merges, until)
            for client in present
            if self.set_of(client) in sets
        }
        hear = [client for client, at in arrivals.items() if at < until]
        wrong = [client for client in sent if self.broken[client]]
        first = {client: one[0] for one in clusters or () for client in one}
        of_cluster = [first[client] for client in sent] if clusters else []
        told = [np.array(who, dtype=np.int32) for who in (sent, hear, wrong, of_cluster)]
        update = self.learner.merge(Merge(number, *told))
        version, merged = self.learn(update), len(self.merged_at)
        self.merged_at.append(merges)
        self.nearest.append(update.nearest)
        for client in hear:
            self.env.process(self.receives(client, version, merged, arrivals[client]))

    def receives(self, client: int, version: int, merged: int, at: float) -> Life:
        yield self.env.at(at, Kind.MODEL, COPY, client)
        self.copy[client] = merged
        self.got[client].append((at, merged))
        self.decides_by(client, version)

    def set_of(self, client: int) -> tuple[int, int]:
        among = self.scenario.federation.among
        return self.group[client], self.variant[client] if among == "variant" else -1

    def arrival(self, client: int, number: int, what: str, at: float, until: float) -> float:
        """When a transfer that may leave at an instant is through, inf if not by `until`. It waits for server
        and link; what its link breaks off, or meets the server down, is sent again."""
        link, takes = self.links.downtime(client), self.takes(client, number, what)
        while at < until:
            if (free := max(link.next_up(at), self.server_up(at))) > at:
                at = free
                continue
            arrives = at + takes * self.links.factor(client, at)
            if not link.is_up_through(at, arrives):
                at = link.next_change(at)
            elif what == "upload" and self.server_up(arrives) > arrives:
                at = arrives
            else:
                return arrives
        return inf

    def takes(self, client: int, number: int, what: str) -> float:
        """A latency and the bytes."""
        link: Link = self.scenario.fleet[self.group[client]].link
        transfer = 8.0 * self.size(client, what) / link.bandwidth_bps if link.bandwidth_bps else 0.0
        return alone(Delay(self.scenario.seed, what, link.latency), client, number) + transfer

    def size(self, client: int, what: str) -> int:
        """4 bytes for each number, twice as many where each is sent with its precision."""
        g = self.group[client]
        numbers = self.learned.shared_numbers[g] if self.learned.shared_numbers else 0
        is_twice = what == "upload" and self.scenario.federation.merge == "laplace"
        return NUMBER_BYTES * numbers * (2 if is_twice else 1)

    def server_up(self, at: float) -> float:
        """The first instant from then on at which a replica is usable."""
        timeline = self.world.capacities[0]
        steps = list(zip(timeline.at_s.tolist(), timeline.taken.tolist(), strict=True))
        ends = [from_s for from_s, _ in steps[1:]] + [inf]
        up = (
            max(at, from_s)
            for (from_s, taken), until in zip(steps, ends, strict=True)
            if taken < self.most and until > at
        )
        return next(up, inf)

    def who_has(self, version: int) -> list[int]:
        world = self.world.sharing(self.learned.shared_numbers)
        return world.schedule.rejectors.clients_of(version).tolist()

    def send_copy(self, client: int) -> None:
        """Nobody is sent the server's model, which learns nothing."""

    def prototype(self, request: Request) -> tuple[int, float]:
        """The class of the nearest as the client answered by itself, -1 if it had none; and its age."""
        at, g = request.resolved, self.group[request.client]
        merged = max((one for came, one in self.got[request.client] if came <= at), default=0)
        nearest = self.nearest[merged] and self.nearest[merged][g]
        label = -1 if nearest is None else int(nearest[self.variant[request.client], request.sample])
        return label, at - self.merged_at[merged] if label >= 0 else float("nan")

    def head(self, request: Request) -> tuple[int, int]:
        """What the client's head made of the features that came back, and which version that was."""
        version = [one for at, one in self.heads[request.client] if at <= request.resolved][-1]
        if not version:
            return int(self.learned.tables.server_label[request.sample]), 0
        g = self.group[request.client]
        member = request.client - self.group.index(g)
        return int(self.said[version][g][member, request.sample]), version
