"""Training during the run of several servers and models, told as SimPy processes beside `reference_learning`.

All models learn in the same rounds, each on the servers that have it. A version counts the rounds that made a
new model of any; each model counts its own.
"""

from __future__ import annotations

from math import inf, isnan, nan
from typing import TYPE_CHECKING

import numpy as np
from reference_learning import BEGIN, COPY, FOLLOWS_NOBODY, IN_FORCE, Life, School
from reference_server import alone

from sim.engine.events import Kind
from sim.messages import Deferred, TrainingRound
from sim.scenario.options import written
from sim.world.delays import Delay
from sim.world.outages.capacity import most_replicas
from sim.world.world import World

if TYPE_CHECKING:
    from reference_loop import Request


class Schools(School):
    """`makes` grows by version: which models its round made."""

    def __init__(self, *known: object) -> None:
        super().__init__(*known)
        names = list(self.scenario.server_models)
        servers = range(len(self.scenario.stations))
        self.has = [{names.index(name) for name in self.scenario.models_of(place)} for place in servers]
        named = self.online.models if self.online and self.online.models else names
        self.learns = {names.index(name) for name in named} if self.online else set()
        self.most_of = [most_replicas(one) for one in self.scenario.stations]
        timelines = World(self.scenario).capacities
        self.up = [most > one.taken[0] for most, one in zip(self.most_of, timelines, strict=True)]
        self.taking: set[int] = set()  # servers that take part in the round that is on
        self.until = [-inf for _ in servers]
        self.makes: list[set[int]] = [set()]
        self.new: list[set[int]] = [set() for _ in self.group]  # to each client, of which models
        self.asks = [self.asked_by(place) for place in range(len(self.scenario.fleet))]

    def asked_by(self, group: int) -> set[int]:
        """The models that may answer a group's clients."""
        names, found = list(self.scenario.server_models), set[int]()
        for option in written(self.scenario, self.scenario.fleet[group]):
            place = self.scenario.station_names.index(option.server)
            found |= self.has[place] if option.model is None else {names.index(option.model)}
        return found

    def rounds(self) -> Life:
        """At every `every_s` a round of all models, on each server that is up; whichever goes down is out of
        it, and a model is made if one that has it stayed to the end."""
        k = 0
        while self.online is not None:
            k += 1
            self.next_due = k * self.online.every_s
            yield self.env.at(self.next_due, Kind.MODEL, BEGIN)
            self.taking = {s for s, is_up in enumerate(self.up) if is_up and self.has[s] & self.learns}
            known = self.known()
            ends = self.env.now + self.online.steps * self.online.step_s
            for server in self.taking:
                self.until[server] = ends
            self.next_due = (k + 1) * self.online.every_s
            if not self.taking:
                continue
            yield self.env.at(ends, Kind.MODEL, IN_FORCE)
            made = {model for model in self.learns if any(model in self.has[s] for s in self.taking)}
            self.taking = set()
            if made:
                self.makes.append(made)
                self.release(known)

    def slows(self, place: int = 0) -> float:
        """How much longer a batch of a server takes that starts now; see `School.slows`."""
        if self.online is None or not self.has[place] & self.learns:
            return 1.0
        is_due = self.env.now == self.next_due and self.online.steps * self.online.step_s > 0
        trains = self.env.now < self.until[place] or is_due
        return 1 / (1 - self.online.capacity_share) if trains else 1.0

    def known(self) -> dict:
        """Beside what a server alone knows, per model when requests were first finished where it is."""
        found = super().known()
        delay, now = self.online.label_delay_s, self.env.now
        for model in self.learns:
            first = []
            for request in self.requests:
                ends = [
                    send.finished
                    for send in request.sends
                    if model in self.has[send.option.server] and not isnan(send.finished)
                ]
                if ends and not self.learned.samples.held_out[request.sample]:
                    first.append((min(ends), request))
            found[f"finished by {model}"] = [
                (at, request) for at, request in first if at < now and at + delay <= now
            ]
        return found

    def release(self, known: dict) -> None:
        """The models that were made come into force, and copies leave for whoever they are new to."""
        self.in_force.append(self.env.now)
        made, several = sorted(self.makes[-1]), len(self.scenario.server_models) > 1
        own = [sum(model in one for one in self.makes) for model in made]
        update = self.learner.train_round(
            TrainingRound(
                version=self.version,
                at_s=known["at"],
                in_force_at_s=self.env.now,
                deferred=self.deferred(known, made if self.online.source != "pool" else []),
                feedback=self.feedback(known),
                trains=np.array(self.who_has(self.version), dtype=np.int32),
                makes=tuple(zip(made, own, strict=True)) if several else (),
            )
        )
        self.server_label.append(update.server_label)
        self.score.append(
            tuple(old if new is None else new for old, new in zip(self.score[-1], update.score, strict=True))
        )
        for client in range(self.scenario.clients):
            self.new[client] |= self.makes[-1] & self.asks[self.group[client]]
            if self.policy(client).score == "oracle":
                self.copy[client] = self.rejector[client] = self.version
            self.send_copy(client)

    def deferred(self, known: dict, models: list[int]) -> Deferred:
        client, sample, finished, of = list[int](), list[int](), list[float](), list[int]()
        for model in models:
            for at, request in self.news(known, f"finished by {model}"):
                client.append(request.client)
                sample.append(request.sample)
                finished.append(at)
                of.append(model)
        several = len(self.scenario.server_models) > 1
        return Deferred(
            np.array(client, dtype=np.int32),
            np.array(sample, dtype=np.int32),
            np.array(finished, dtype=np.float64),
            np.array(of, dtype=np.int16) if several else None,
        )

    def was_right(self, request: Request) -> bool:
        labels = np.atleast_2d(self.server_label[self.server_version(request)])
        return labels[request.heard.model, request.sample] == self.learned.samples.label[request.sample]

    def outages(self) -> Life:
        for place in range(len(self.scenario.stations)):
            self.env.process(self.outages_of(place))
        yield from ()

    def outages_of(self, place: int) -> Life:
        timeline = World(self.scenario).capacities[place]
        for at, taken in zip(timeline.at_s.tolist(), timeline.taken.tolist(), strict=True):
            is_up = taken < self.most_of[place]
            yield self.env.at(at, Kind.CAPACITY_DOWN if self.up[place] and not is_up else Kind.CAPACITY_UP)
            if not is_up:
                self.taking.discard(place)
                self.until[place] = self.env.now
            elif not self.up[place]:
                for client in range(self.scenario.clients):
                    leave = self.env.at(self.env.now, Kind.MODEL, COPY, client)
                    leave.callbacks.append(lambda _, client=client: self.send_copy(client))
            self.up[place] = is_up

    def send_copy(self, client: int) -> None:
        """One copy at a time of all that is new to the client, once its link is up, and for each model a
        server that has it."""
        follows = self.policy(client).score not in (*FOLLOWS_NOBODY, "oracle")
        can_be_had = all(any(m in has and up for has, up in self.servers()) for m in self.new[client])
        if not self.links.downtime(client).is_up(self.env.now):
            again = self.env.at(self.links.downtime(client).next_up(self.env.now), Kind.MODEL, COPY, client)
            again.callbacks.append(lambda _: self.send_copy(client))
        elif follows and self.new[client] and can_be_had and not self.sending[client]:
            models, self.new[client] = self.new[client], set()
            self.sending[client] = True
            self.env.process(self.travel_with(client, self.version, models))

    def servers(self) -> list[tuple[set[int], bool]]:
        return list(zip(self.has, self.up, strict=True))

    def travel_with(self, client: int, version: int, models: set[int]) -> Life:
        link = self.scenario.fleet[self.group[client]].link
        transfer = 8.0 * self.online.copy_bytes / link.bandwidth_bps if link.bandwidth_bps else 0.0
        latency = alone(Delay(self.scenario.seed, "copy", link.latency), client, version)
        takes = (latency + len(models) * transfer) * self.links.factor(client, self.env.now)
        link, arrives = self.links.downtime(client), self.env.now + takes
        if not link.is_up_through(self.env.now, arrives):  # broken off, it starts over
            yield self.env.at(link.next_change(self.env.now), Kind.MODEL, COPY, client)
            self.sending[client] = False
            self.new[client] |= models
        else:
            yield self.env.at(arrives, Kind.MODEL, COPY, client)
            self.sending[client] = False
            self.copy[client] = version
            self.train_rejector(client)
        self.send_copy(client)

    def server_version(self, request: Request) -> int:
        """Of all models together, as work began on the attempt that the row tells of."""
        if not request.sends:
            return request.server_version_at_decision
        send = request.heard if request.outcome == "remote" else request.sends[-1]
        started = nan if send is None else send.started
        if isnan(started):
            return request.server_version_at_decision
        return sum(at <= started for at in self.in_force) - 1

    def own_version(self, version: int, model: int) -> int:
        """Which of its own that is."""
        return sum(model in one for one in self.makes[: version + 1]) if version >= 0 else version
