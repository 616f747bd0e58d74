"""A request's life told as a SimPy process: the readable definition of what the product's loop must do.

Each request is one generator and the server is one object. What luck decides is asked from the same keyed
draws as in the product, so the two are compared byte by byte. Nothing here is fast, and nothing is clever:
where this file and `sim.loop` disagree, this file is right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappush
from itertools import count
from math import inf, nan

import simpy
from reference_learning import School, explored, sample_of

from sim.arrivals import ArrivalSource
from sim.clock import Kind
from sim.delays import Backoff, LinkDelays, ServiceTimes
from sim.messages import Learned
from sim.outages import capacity
from sim.population import CLIENT_SHIFT, population
from sim.ports import OnlineLearner
from sim.prices import fixed_price
from sim.rules import millionths
from sim.scenario import Group, Scenario
from sim.streams import Draws

TOKEN = 1_000_000
Life = Iterator[simpy.Event]


@dataclass
class Send:
    """One attempt, as the tables record it; `verdict` is what the client waits for."""

    request: Request
    attempt: int
    sent: float
    timer: float
    verdict: simpy.Event
    reached: float = nan
    started: float = nan
    finished: float = nan
    replica: int = -1
    batch_size: int = 0
    cause: str = "none"

    @property
    def place(self) -> tuple[int, int]:
        return self.request.request_id, self.attempt


@dataclass
class Request:
    """One row."""

    request_id: int
    client: int
    sample: int
    arrived: float
    decided: float = nan
    window: int = -1
    copy_version: int = -1
    rejector_version: int = -1
    score: float = nan
    propensity: float = nan
    deferred: bool = False
    outcome: str = "in_flight"
    resolved: float = nan
    sends: list[Send] = field(default_factory=list)


class Timeline(simpy.Environment):
    """SimPy's clock, with simultaneous events in the order (kind, request, attempt)."""

    def at(self, when: float, kind: Kind, *place: int) -> simpy.Event:
        """An event at an absolute instant."""
        event = simpy.Event(self)
        event._ok, event._value = True, None
        heappush(self._queue, (when, (kind, *place), next(self._eid), event))
        return event

    def schedule(self, event: simpy.Event, *_: object) -> None:
        """What SimPy schedules itself, a first step, an end or a success, happens at once."""
        heappush(self._queue, (self.now, (-1,), next(self._eid), event))


class Server:
    """Replicas, a queue in order of arrival, batches; usable replicas have the lowest indices."""

    def __init__(self, env: Timeline, scenario: Scenario, links: list[LinkDelays], client_group: list[int]):
        self.env, self.rule, self.links, self.client_group = env, scenario.server, links, client_group
        self.times = ServiceTimes(scenario.seed, self.rule.service, self.rule.max_batch)
        self.limit = inf if self.rule.queue_limit is None else self.rule.queue_limit
        self.waiting: list[Send] = []
        self.batches: list[list[Send]] = [[] for _ in range(self.rule.replicas)]
        self.usable = 0

    def idle(self) -> list[int]:
        return [replica for replica in range(self.usable) if not self.batches[replica]]

    def reach(self, send: Send) -> None:
        """A message arrives: it is refused, swallowed, taken at once, or waits."""
        taken_at_once = self.idle() and self.is_due([*self.waiting, send])
        if not self.usable and self.rule.when_down == "refuse":
            self.refuse(send, "down")
        elif not self.usable and self.rule.when_down == "silent":
            send.cause = "lost"
        elif taken_at_once or len(self.waiting) < self.limit:
            self.waiting.append(send)
            due = self.env.at(send.reached + self.rule.batch_wait_s, Kind.DUE, *send.place)
            due.callbacks.append(lambda _: self.serve())
            self.serve()
        else:
            self.refuse(send, "queue_full")

    def is_due(self, waiting: list[Send]) -> bool:
        """Whether a batch may start: it is full, or its oldest request has waited long enough."""
        full = len(waiting) >= self.rule.max_batch
        return full or (bool(waiting) and waiting[0].reached + self.rule.batch_wait_s <= self.env.now)

    def serve(self) -> None:
        """Starts every batch that may start, each on the idle replica with the lowest index."""
        while self.idle() and self.is_due(self.waiting):
            replica, batch = self.idle()[0], self.waiting[: self.rule.max_batch]
            self.waiting = self.waiting[self.rule.max_batch :]
            self.batches[replica] = batch
            self.env.process(self.work(replica, batch))

    def work(self, replica: int, batch: list[Send]) -> Life:
        for send in batch:
            send.started, send.replica, send.batch_size = self.env.now, replica, len(batch)
        time = self.times.time(len(batch), self.times.factor_one(*batch[0].place))
        yield self.env.at(self.env.now + time, Kind.COMPLETE, replica)
        if self.batches[replica] is not batch:
            return  # lost in an outage
        self.batches[replica] = []
        for send in batch:
            send.finished = self.env.now
            self.env.process(self.reply(send, "remote"))
        self.serve()

    def refuse(self, send: Send, cause: str) -> None:
        send.cause = cause
        self.env.process(self.reply(send, "refused"))

    def reply(self, send: Send, word: str) -> Life:
        """An answer or an error goes back over the downlink; a client that gave up does not hear it."""
        link = self.links[self.client_group[send.request.client]]
        yield self.env.at(self.env.now + link.down.one(*send.place), Kind.REPLY, *send.place)
        if not send.verdict.triggered:
            send.verdict.succeed(word)

    def change_capacity(self, usable: int) -> None:
        """Replicas stop or start from the highest index; batches on stopped ones are lost."""
        self.usable = usable
        stopped = [send for batch in self.batches[usable:] for send in batch]
        self.batches[usable:] = [[] for _ in self.batches[usable:]]
        if not usable and not self.rule.queue_survives:
            stopped, self.waiting = stopped + self.waiting, []
        for send in stopped:
            send.cause = "lost"
        self.serve()


class Reference:
    """The whole run. `run()` gives the requests by request_id."""

    def __init__(
        self,
        scenario: Scenario,
        learned: Learned,
        arrivals: ArrivalSource,
        chunk_s: float,
        learner: OnlineLearner | None = None,
    ):
        self.scenario, self.learned, self.arrivals, self.chunk_s = scenario, learned, arrivals, chunk_s
        self.env, self.clients = Timeline(), population(scenario)
        self.links = [LinkDelays(scenario.seed, group.link) for group in scenario.fleet]
        self.server = Server(self.env, scenario, self.links, self.clients.group.tolist())
        self.device_free = [-inf] * scenario.clients
        self.allowance = [TOKEN] * scenario.clients
        self.requests: list[Request] = []
        self.school = School(self.env, scenario, learned, self.requests, learner)

    def run(self) -> list[Request]:
        self.env.process(self.capacity_changes())
        self.env.process(self.school.outages())
        self.env.process(self.school.rounds())
        next_k = [0] * self.scenario.clients
        for index in count():
            start = index * self.chunk_s
            if start >= self.scenario.horizon_s:
                break
            chunk = self.arrivals.draw(index, start, min(start + self.chunk_s, self.scenario.horizon_s))
            for at, client in zip(chunk.at_s.tolist(), chunk.client.tolist(), strict=True):
                request_id = client << CLIENT_SHIFT | next_k[client]
                next_k[client] += 1
                self.requests.append(Request(request_id, client, self.sample(request_id, client, at), at))
                self.env.process(self.life(self.requests[-1]))
        while self.env.peek() < self.scenario.horizon_s:
            self.env.step()
        return sorted(self.requests, key=lambda request: request.request_id)

    def capacity_changes(self) -> Life:
        timeline = capacity(self.scenario)
        for at, usable in zip(timeline.at_s.tolist(), timeline.usable.tolist(), strict=True):
            rises = usable > self.server.usable
            yield self.env.at(at, Kind.CAPACITY_UP if rises else Kind.CAPACITY_DOWN)
            self.server.change_capacity(usable)

    def life(self, request: Request) -> Life:
        """From arrival to the client's last word."""
        group = self.group(request.client)
        deadline = request.arrived + (inf if group.deadline_s is None else group.deadline_s)
        yield self.env.at(request.arrived, Kind.ARRIVAL, request.request_id, 0)
        begins = max(request.arrived, self.device_free[request.client])
        self.device_free[request.client] = begins + group.device.inference_s
        yield self.env.at(self.device_free[request.client], Kind.DECISION, request.request_id, 0)
        request.decided = self.env.now
        self.school.note_versions(request)
        request.score = self.score(request)
        request.deferred = request.score > fixed_price(group.policy)
        request.deferred, request.propensity = explored(self.scenario, group.policy, request)
        if not request.deferred:
            outcome = "local"
        elif request.decided >= deadline:
            outcome = "timed_out"
        else:
            self.earn(request.client, group)
            outcome = yield from self.ask(request, group, deadline)
        request.outcome, request.resolved = outcome, self.env.now

    def ask(self, request: Request, group: Group, deadline: float) -> Life:
        """Sends until an answer comes or no retry is left; gives the outcome."""
        for attempt in count(1):
            timeout = inf if group.timeout_s is None else group.timeout_s
            timer = min(self.env.now + timeout, deadline)
            send = Send(request, attempt, self.env.now, timer, self.env.event())
            request.sends.append(send)
            self.env.process(self.travel(send))
            self.env.process(self.give_up(send))
            outcome = yield send.verdict
            if outcome == "remote" or attempt == (group.retry.attempts if group.retry else 1):
                return outcome
            if group.retry.allowance is not None and self.allowance[request.client] < TOKEN:
                return outcome
            again = self.env.now + Backoff(self.scenario.seed, group.retry).after(*send.place)
            if again >= deadline:
                return outcome
            if group.retry.allowance is not None:
                self.allowance[request.client] -= TOKEN
            yield self.env.at(again, Kind.TIMER, request.request_id, attempt + 1)

    def earn(self, client: int, group: Group) -> None:
        """A first send earns a share of a retry token; at most three are kept."""
        if group.retry is not None and group.retry.allowance is not None:
            earned = millionths(group.retry.allowance)
            self.allowance[client] = min(3 * TOKEN, self.allowance[client] + earned)

    def travel(self, send: Send) -> Life:
        up = self.links[self.clients.group[send.request.client]].up_one(*send.place)
        send.reached = send.sent + up
        yield self.env.at(send.reached, Kind.REACH, *send.place)
        self.server.reach(send)

    def give_up(self, send: Send) -> Life:
        if send.timer < inf:
            yield self.env.at(send.timer, Kind.TIMER, *send.place)
            if not send.verdict.triggered:
                send.verdict.succeed("timed_out")

    def group(self, client: int) -> Group:
        return self.scenario.fleet[self.clients.group[client]]

    def sample(self, request_id: int, client: int, at: float) -> int:
        g = self.clients.group[client]
        phase = [phase for phase in self.learned.traffic[g] if phase.at_s <= at][-1]
        draw = Draws(self.scenario.seed, "sample").one(request_id)
        return sample_of(phase, client - self.clients.first[g], draw)

    def score(self, request: Request) -> float:
        g = self.clients.group[request.client]
        table, group = self.school.score[request.rejector_version][g], self.scenario.fleet[g]
        if table is None:
            return float(Draws(self.scenario.seed, "score").many([request.request_id]).astype("f4")[0])
        member = request.client - self.clients.first[g]
        row = member if len(table) == group.clients else self.clients.variant[request.client]
        return float(table[row, request.sample])
