"""Training during the run told as SimPy processes, beside `reference_loop`: rounds, copies, rejectors.

Models change before all else that happens at an instant, but for capacity; among them, in this order: a
version comes into force, a round begins, a copy leaves or arrives, a rejector is ready. Also here: which
sample a request brings.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import count
from math import inf, isnan
from typing import TYPE_CHECKING

import numpy as np
import simpy
from reference_server import alone

from sim.engine.events import Kind
from sim.messages import Deferred, Feedback, Learned, Phase, TrainingRound
from sim.ports import OnlineLearner
from sim.scenario import Scenario
from sim.scenario.schema.fleet import Policy
from sim.world.adaptive_gaps import Evidence, next_gap_s
from sim.world.delays import Delay
from sim.world.outages.capacity import most_replicas
from sim.world.outages.links import Links
from sim.world.population import population
from sim.world.world import World

if TYPE_CHECKING:
    from reference_loop import Request, Timeline

IN_FORCE, BEGIN, COPY, READY = range(4)
FOLLOWS_NOBODY = ("confidence", "confidence_calibrated", "energy", "entropy", "margin", "random")
Life = Iterator[simpy.Event]


class School:
    """Who learns what and when. `in_force` and `score` grow by version."""

    def __init__(
        self,
        env: Timeline,
        scenario: Scenario,
        learned: Learned,
        requests: list[Request],
        learner: OnlineLearner | None,
    ):
        self.env, self.scenario, self.learned, self.requests = env, scenario, learned, requests
        self.learner, self.online = learner, scenario.training.online
        self.group = population(scenario).group.tolist()
        self.in_force = [-inf]
        self.server_label = [learned.tables.server_label]
        self.score = [tuple(group.score for group in learned.tables.groups)]
        self.copy, self.rejector = [0] * scenario.clients, [0] * scenario.clients
        self.sent, self.trained = [0] * scenario.clients, [0] * scenario.clients
        self.sending, self.training = [False] * scenario.clients, [False] * scenario.clients
        self.most = most_replicas(scenario.stations[0])
        self.usable = max(0, self.most - int(World(scenario).capacities[0].taken[0]))
        self.total_outages = 0
        self.round_ends, self.next_due = -inf, inf
        self.links = Links(World(scenario).outage_times)
        self.given: set[tuple[str, int]] = set()
        self.gaps_s, self.evidence, self.judged = list[float](), Evidence(), set[int]()
        self.came: list[list[int]] = [[] for _ in range(scenario.clients)]

    @property
    def version(self) -> int:
        return len(self.in_force) - 1

    def rounds(self) -> Life:
        """At every `every_s` a round, unless no replica is usable; one that an outage cuts short is lost."""
        if self.online is None:
            return
        if self.online.adaptive is not None:
            yield from self.adaptive_rounds()
        for k in count(1):
            self.next_due = k * self.online.every_s
            yield self.env.at(self.next_due, Kind.MODEL, BEGIN)
            if not self.usable:
                continue
            training_round, outages = self.known(), self.total_outages
            ends = self.env.now + self.online.steps * self.online.step_s
            self.round_ends, self.next_due = ends, (k + 1) * self.online.every_s
            yield self.env.at(ends, Kind.MODEL, IN_FORCE)
            if self.total_outages == outages:
                self.release(training_round)

    def adaptive_rounds(self) -> Life:
        """Each round decides when the next is due; one that came to nothing is due again with the server."""
        timeline, due = World(self.scenario).capacities[0], self.online.adaptive.at_least_s
        changes = [
            (at, taken < self.most)
            for at, taken in zip(timeline.at_s.tolist(), timeline.taken.tolist(), strict=True)
        ]
        while due < inf:
            yield self.env.at(due, Kind.MODEL, BEGIN)
            ends = due + self.online.steps * self.online.step_s
            down = min((at for at, is_up in changes if not is_up and at > due), default=inf)
            if self.usable and down > ends:
                training_round = self.known()
                seen = [self.verdict(at, request) for at, request in self.unjudged(training_round)]
                versions, at_s, losses = np.array(seen, dtype=np.float64).reshape(-1, 3).T
                memory = self.online.adaptive.memory
                self.evidence = self.evidence.then(memory, versions.astype(np.int32), at_s, losses)
                self.gaps_s.append(next_gap_s(self.online, self.evidence))
                yield self.env.at(ends, Kind.MODEL, IN_FORCE)
                self.release(training_round)
                due += self.gaps_s[-1]
            else:
                stops = down if self.usable else due
                due = min((at for at, is_up in changes if is_up and at > stops), default=inf)
        yield self.env.at(inf, Kind.MODEL, BEGIN)

    def unjudged(self, known: dict[str, list[tuple[float, Request]]]) -> list[tuple[float, Request]]:
        """Whose label came after the last round that decided on a gap, by instant and request."""
        new = [pair for pair in known["finished"] if pair[1].request_id not in self.judged]
        self.judged |= {request.request_id for _, request in new}
        return sorted(new, key=lambda pair: (pair[0], pair[1].request_id))

    def verdict(self, at: float, request: Request) -> tuple[int, float, bool]:
        """By the version that the server had as it took up the attempt that was done at that instant."""
        attempt = next(send for send in request.sends if send.finished == at)
        version, sample = sum(since <= attempt.started for since in self.in_force) - 1, request.sample
        return version, at, self.server_label[version][sample] != self.learned.samples.label[sample]

    def slows(self, _place: int = 0) -> float:
        """How much longer a batch takes that starts now: training has its share of the server.

        A round lasts from its due time on, half-open as outages are, even for a batch that starts at that
        instant with capacity that comes, before the round itself begins.
        """
        if self.online is None:
            return 1.0
        is_due = self.env.now == self.next_due and self.online.steps * self.online.step_s > 0
        return 1 / (1 - self.online.capacity_share) if self.env.now < self.round_ends or is_due else 1.0

    def known(self) -> dict[str, list[tuple[float, Request]]]:
        """What is known now: requests by when their samples were first finished, and by when answered."""
        finished, answered, decided = [], [], []
        for request in self.requests:
            if self.learned.samples.held_out[request.sample]:
                continue
            ends = [send.finished for send in request.sends if not isnan(send.finished)]
            finished += [(min(ends), request)] if ends else []
            answered += [(request.resolved, request)] if request.outcome == "remote" else []
            decided += [(request.decided, request)]
        delay = (self.online or self.scenario.federation).label_delay_s
        return {
            # A device that is done at this very instant decides after the models have come into force.
            name: [(at, request) for at, request in found if at < self.env.now and at + delay <= self.env.now]
            for name, found in (("finished", finished), ("answered", answered), ("decided", decided))
        } | {"at": self.env.now}

    def release(self, known: dict) -> None:
        """A round is over: its version comes into force, and copies leave for whoever can be reached."""
        self.in_force.append(self.env.now)
        deferred = self.news(known, "finished") if self.online.source != "pool" else []
        update = self.learner.train_round(
            TrainingRound(
                version=self.version,
                at_s=known["at"],
                in_force_at_s=self.env.now,
                deferred=Deferred(
                    np.array([request.client for _, request in deferred], dtype=np.int32),
                    np.array([request.sample for _, request in deferred], dtype=np.int32),
                    np.array([at for at, _ in deferred], dtype=np.float64),
                ),
                feedback=self.feedback(known),
                # The only look ahead, and the product's: who will train on this version.
                trains=np.array(self.who_has(self.version), dtype=np.int32),
            )
        )
        self.server_label.append(update.server_label)
        self.score.append(
            tuple(old if new is None else new for old, new in zip(self.score[-1], update.score, strict=True))
        )
        for client in range(self.scenario.clients):
            if self.policy(client).score == "oracle":
                self.copy[client] = self.rejector[client] = self.version
            self.send_copy(client)

    def feedback(self, known: dict) -> Feedback:
        """What clients were answered since the last round, and how often they decided, if they learn."""
        learns = self.scenario.learns_from_answers
        told, decided = (self.news(known, name) if learns else [] for name in ("answered", "decided"))
        return Feedback(
            np.array([request.client for _, request in told], dtype=np.int32),
            np.array([request.sample for _, request in told], dtype=np.int32),
            np.array([self.was_right(request) for _, request in told], dtype=bool),
            np.array([request.propensity for _, request in told], dtype=np.float32),
            np.array([at for at, _ in told], dtype=np.float64),
            np.array(
                [
                    sum(request.client == client for _, request in decided)
                    for client in range(self.scenario.clients)
                ],
                dtype=np.int64,
            ),
        )

    def who_has(self, version: int) -> list[int]:
        """The clients whose rejectors are of this version at some time."""
        return World(self.scenario).schedule_after(self.gaps_s).rejectors.clients_of(version).tolist()

    def news(self, known: dict, name: str) -> list[tuple[float, Request]]:
        """Those that no training round had yet, by instant and request."""
        new = [(at, request) for at, request in known[name] if (name, request.request_id) not in self.given]
        self.given |= {(name, request.request_id) for _, request in new}
        return sorted(new, key=lambda pair: (pair[0], pair[1].request_id))

    def was_right(self, request: Request) -> bool:
        version = self.server_version(request)
        return self.server_label[version][request.sample] == self.learned.samples.label[request.sample]

    def outages(self) -> Life:
        """Copies wait for a server that is up; they leave when all else of this instant is in force."""
        timeline = World(self.scenario).capacities[0]
        for at, taken in zip(timeline.at_s.tolist(), timeline.taken.tolist(), strict=True):
            usable = max(0, self.most - taken)
            yield self.env.at(at, Kind.CAPACITY_UP if usable > self.usable else Kind.CAPACITY_DOWN)
            self.total_outages += not usable
            if not usable:
                self.round_ends = self.env.now
            if usable and not self.usable:
                for client in range(self.scenario.clients):
                    leave = self.env.at(self.env.now, Kind.MODEL, COPY, client)
                    leave.callbacks.append(lambda _, client=client: self.send_copy(client))
            self.usable = usable

    def send_copy(self, client: int) -> None:
        """One copy at a time, the newest version, if the server is up."""
        follows = self.policy(client).score not in (*FOLLOWS_NOBODY, "oracle")
        if not self.links.downtime(client).is_up(self.env.now):
            again = self.env.at(self.links.downtime(client).next_up(self.env.now), Kind.MODEL, COPY, client)
            again.callbacks.append(lambda _: self.send_copy(client))
        elif follows and self.usable and not self.sending[client] and self.sent[client] < self.version:
            self.sent[client], self.sending[client] = self.version, True
            self.env.process(self.travel(client, self.version))

    def travel(self, client: int, version: int) -> Life:
        link = self.scenario.fleet[self.group[client]].link
        transfer = 8.0 * self.online.copy_bytes / link.bandwidth_bps if link.bandwidth_bps else 0.0
        latency = alone(Delay(self.scenario.seed, "copy", link.latency), client, version)
        takes = (latency + transfer) * self.links.factor(client, self.env.now)
        link, arrives = self.links.downtime(client), self.env.now + takes
        if not link.is_up_through(self.env.now, arrives):  # broken off, it starts over
            yield self.env.at(link.next_change(self.env.now), Kind.MODEL, COPY, client)
            self.sending[client], self.sent[client] = False, self.copy[client]
            self.send_copy(client)
            return
        yield self.env.at(arrives, Kind.MODEL, COPY, client)
        self.sending[client] = False
        self.copy[client] = version
        self.came[client].append(version)
        self.train_rejector(client)
        self.send_copy(client)

    def train_rejector(self, client: int) -> None:
        """One training at a time, on the newest copy, without blocking the device; with adaptive gaps on each
        copy in turn."""
        if not self.training[client] and self.trained[client] < self.copy[client]:
            is_each = self.online.adaptive is not None
            version = (
                next(v for v in self.came[client] if v > self.trained[client])
                if is_each
                else self.copy[client]
            )
            self.trained[client], self.training[client] = version, True
            self.env.process(self.train(client, version))

    def train(self, client: int, version: int) -> Life:
        takes = self.online.rejector_steps * self.online.rejector_step_s
        yield self.env.at(self.env.now + takes, Kind.MODEL, READY, client)
        self.training[client] = False
        self.rejector[client] = version
        self.train_rejector(client)

    def policy(self, client: int) -> Policy:
        return self.scenario.fleet[self.group[client]].policy

    def note_versions(self, request: Request) -> None:
        request.server_version_at_decision = self.version
        request.copy_version = self.copy[request.client]
        request.rejector_version = self.rejector[request.client]

    def server_version(self, request: Request) -> int:
        """In force when work on the request began, or would have been asked at its decision; -1 before it."""
        if request.sends and not isnan(request.sends[-1].started):
            return bisect_right(self.in_force, request.sends[-1].started) - 1
        return request.server_version_at_decision

    def own_version(self, version: int, _model: int) -> int:
        """The one model's."""
        return version


def sample_of(phase: Phase, member: int, draw: float) -> int:
    """The draw finds its stratum among the client's shares; what is left of it finds the sample within."""
    upto = phase.upto[member if len(phase.upto) > 1 else 0].tolist()
    stratum = next(s for s, share in enumerate(upto) if draw < share)
    below = upto[stratum - 1] if stratum else 0.0
    first, end = phase.first[stratum : stratum + 2].tolist()
    place = int((draw - below) / (upto[stratum] - below) * (end - first))
    return int(phase.positions[first + min(place, end - first - 1)])
