"""The server of the reference loop: replicas, a queue, batches, admission, outages, scaling.

Where this file and the product's server disagree, this file is right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappush
from itertools import count
from math import ceil, inf, isnan, nan
from typing import Any

import numpy as np
import simpy
from reference_limits import Bucket

from sim.engine.events import Kind
from sim.periods import period_of
from sim.scenario import Scenario
from sim.scenario.schema.values import SHORTEST_S
from sim.world.delays import Delay, ServiceTimes
from sim.world.outages.capacity import most_replicas, slowness
from sim.world.population import population
from sim.world.world import World

Life = Iterator[simpy.Event]


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


def alone(delay: Delay, request_id: int, attempt: int) -> float:
    """Seconds that chance decides for one send."""
    return float(delay.many(np.array([request_id]), attempt)[0])


def service_s(times: ServiceTimes, n: int, factor: float, work: float = 1.0) -> float:
    """Seconds that a batch of n takes, work being the mean of its requests': no batch ends when it starts."""
    return max(times.scale[n] * factor * work, SHORTEST_S)


@dataclass(eq=False)
class Run:
    """A replica at work on a batch, until it is done or an outage stops it."""

    batch: list[Any]
    ends: float = inf
    load_s: float = 0.0


class Server:
    """Usable replicas are those with the lowest indices; `answer` sends a word back to a client; training
    takes what it `slows` by.

    Whoever waits is in `returned`, which is served first, or in `waiting`, in order of arrival.
    """

    def __init__(
        self,
        env: Timeline,
        scenario: Scenario,
        place: int,
        slows: Callable[[], float],
        answer: Callable[[Any, str], Life],
        work: Callable[[Any], float] = lambda _send: 1.0,
    ) -> None:
        self.env, self.scenario, self.rule, self.answer = env, scenario, scenario.stations[place], answer
        self.place, self.group_of = place, population(scenario).group
        items = max(group.session.draft + 1 if group.session else 1 for group in scenario.fleet)
        self.times = ServiceTimes(scenario.seed, self.rule.service, self.rule.max_batch * items)
        self.slow, self.slows = slowness(scenario, place, World(scenario).outage_times), slows
        self.limit = inf if self.rule.queue_limit is None else self.rule.queue_limit
        self.work_of = work  # what the service time of a send is multiplied by
        self.returned: list[Any] = []
        self.waiting: list[Any] = []
        self.runs: list[list[Run]] = [[] for _ in range(most_replicas(self.rule))]  # per replica, in order
        self.takes_next = [True] * len(self.runs)  # whether the first stage of its pipeline is free
        self.left_at = [[-inf] * self.rule.stages for _ in self.runs]  # when the last batch left each stage
        self.replicas, self.taken = self.rule.replicas, 0
        self.held: dict[int, float] = {}  # per replica whose batch stands still: seconds left of it
        self.warm_until: dict[int, float] = {}  # per instance of a serverless server
        self.last_started: dict[int, float] = {}  # per client
        admission = self.rule.admission
        self.bucket = Bucket(admission.rate_hz, admission.burst) if admission.kind == "token_bucket" else None
        self.busy_s = self.usable_s = self.replica_s = self.measured_at = 0.0
        self.coming: list[float] = []  # when each ordered replica is there
        self.wanted: list[tuple[int, int]] = []  # (tick, how many replicas were)
        self.changed_at = -inf
        self.switch, names = scenario.switch_of(place), list(scenario.server_models)
        self.models = [names.index(name) for name in scenario.models_of(place)]
        self.width = len(self.models) - 1  # the place of the model that it is at
        self.came: list[float] = []
        self.in_memory = [self.first_in_memory() for _ in self.runs]  # models, the last used behind

    @property
    def usable(self) -> int:
        return max(0, self.replicas - self.taken)

    def backlog(self) -> int:
        """How many wait, which every word of the server tells its client."""
        return len(self.returned) + len(self.waiting)

    def idle(self) -> list[int]:
        if self.rule.stages > 1:
            return [replica for replica in range(self.usable) if self.takes_next[replica]]
        return [replica for replica in range(self.usable) if not self.runs[replica]]

    # The door.

    def reach(self, send: Any) -> None:
        """A message arrives: it is refused, swallowed, taken at once, or waits."""
        self.came.append(self.env.now)
        if self.rule.autoscaling and self.replicas + len(self.coming) == 0:
            self.changed_at = self.env.now
            self.scale_to(1)
        everybody, worse = [*self.returned, *self.waiting], self.last_of_worse(send)
        taken_at_once = self.idle() and self.is_due([*everybody, send])
        if not self.usable and self.rule.when_down == "refuse":
            self.refuse(send, "down")
        elif not self.usable and self.rule.when_down == "silent":
            send.cause = "lost"
        elif not taken_at_once and len(everybody) >= self.limit and not worse:
            self.refuse(send, "queue_full")
        elif not self.admits(send):
            self.refuse(send, "admission")
        else:
            if not taken_at_once and len(everybody) >= self.limit:
                self.waiting.remove(worse)
                worse.accepted = False
                self.refuse(worse, "queue_full")
            send.accepted = True
            self.waiting.append(send)
            due = self.env.at(send.reached + self.rule.batch_wait_s, Kind.DUE, *send.place)
            due.callbacks.append(lambda _: self.serve())
            self.serve()

    def priority(self, send: Any) -> int:
        return self.scenario.fleet[int(self.group_of[send.request.client])].priority

    def last_of_worse(self, send: Any) -> Any:
        """Who came last of the largest priority that waits, if that is larger than this one's."""
        if self.rule.discipline != "priority" or not self.waiting:
            return None
        worst = max(map(self.priority, self.waiting))
        last = [one for one in self.waiting if self.priority(one) == worst][-1]
        return last if worst > self.priority(send) else None

    def admits(self, send: Any) -> bool:
        if self.bucket:
            return self.bucket.take(self.env.now)
        if self.rule.admission.kind == "deadline_feasible" and self.usable:
            return self.estimate() <= send.request.deadline
        return True

    def estimate(self) -> float:
        """When a request that arrives now would be finished, were every batch full and of mean length."""
        ahead, most = len(self.returned) + len(self.waiting), self.rule.max_batch
        batches = ahead // most + (0 if self.idle() else 1)
        share, longer = self.rule.stage_overhead / self.rule.stages, self.rule.stage_overhead
        return (
            self.env.now
            + batches * self.times.mean[most] * share / self.usable
            + self.times.mean[ahead % most + 1] * longer
        )

    def refuse(self, send: Any, cause: str) -> None:
        send.cause, send.backlog = cause, self.backlog()
        self.env.process(self.answer(send, "refused"))

    # The queue and the replicas.

    def is_due(self, everybody: list[Any]) -> bool:
        """Whether a batch may start: it is full, or its oldest request has waited long enough."""
        if len(everybody) >= self.rule.max_batch:
            return True
        oldest = min((send.reached for send in everybody), default=inf)
        return oldest + self.rule.batch_wait_s <= self.env.now

    def serve(self) -> None:
        """Starts every batch that may start, each on the idle replica with the lowest index."""
        while self.idle() and self.is_due([*self.returned, *self.waiting]):
            batch = self.form_batch()
            if batch:
                if self.switch:  # now: the next batch may start at this instant, too
                    self.width = self.choose_model(batch)
                    self.answer_by(batch, self.width)
                ready = [one for one in self.idle() if self.is_warm(one) and self.has_model(one, batch)]
                replica = (ready or self.idle())[0]
                self.measure()
                run = Run(batch)
                self.runs[replica].append(run)
                self.takes_next[replica] = False
                run.load_s = self.load(replica, batch)
                self.env.process(self.work(replica, run))

    def form_batch(self) -> list[Any]:
        """The next requests in the order of the discipline; those past their deadline are thrown out."""
        batch: list[Any] = []
        while len(batch) < self.rule.max_batch and (self.returned or self.waiting):
            send = self.returned.pop(0) if self.returned else self.next_of_discipline()
            if self.rule.drop_expired and send.request.deadline <= self.env.now:
                send.cause = "expired"
                continue
            if self.is_called_back(send):
                send.cause = "cancelled"
                continue
            self.last_started[send.request.client] = self.env.now
            batch.append(send)
        return batch

    def is_called_back(self, send: Any) -> bool:
        """Whether its request was answered by another attempt, and the client's word of that is here."""
        hedge = self.scenario.fleet[int(self.group_of[send.request.client])].hedge
        if send.request.outcome != "remote" or not (hedge and hedge.cancel):
            return False
        left = send.sent if isnan(send.computed) else send.computed
        return self.env.now >= send.request.resolved + (send.reached - left)

    def next_of_discipline(self) -> Any:
        key: dict[str, Callable[[int, Any], Any]] = {
            "fifo": lambda position, _: position,
            "lifo": lambda position, _: -position,
            "edf": lambda position, send: (send.request.deadline, position),
            "priority": lambda position, send: (self.priority(send), position),
            "sjf": lambda position, send: (self.work_of(send), position),
            "fair": lambda position, send: (
                self.last_started.get(send.request.client, -inf),
                send.request.client,
                position,
            ),
        }
        order = key[self.rule.discipline]
        position, _ = min(enumerate(self.waiting), key=lambda one: order(*one))
        return self.waiting.pop(position)

    def work(self, replica: int, run: Run) -> Life:
        for send in run.batch:
            send.started, send.replica, send.batch_size = self.env.now, replica, len(run.batch)
        takes = self.batch_s(replica, run.batch)
        if not self.is_warm(replica):
            run.batch[0].is_cold = True
            takes += self.rule.serverless.cold_start_s
        takes += run.load_s
        if self.rule.stages == 1:
            yield from self.go_on(replica, run, self.env.now + takes)
        else:
            yield from self.pass_stages(replica, run, takes)

    def pass_stages(self, replica: int, run: Run, takes: float) -> Life:
        """Through the stages of a pipeline: each keeps a batch until the next one has room for it."""
        stage_s = max(takes * (self.rule.stage_overhead / self.rule.stages), SHORTEST_S)
        left_at, at = self.left_at[replica], self.env.now
        for stage in range(self.rule.stages):
            at += stage_s
            if stage + 1 < self.rule.stages:
                at = max(at, left_at[stage + 1])
            left_at[stage] = at
        self.env.process(self.take_next(replica, run, left_at[0]))
        yield from self.go_on(replica, run, at)

    def take_next(self, replica: int, run: Run, at: float) -> Life:
        yield self.env.at(at, Kind.INTAKE, self.place, replica)
        if run in self.runs[replica]:
            self.takes_next[replica] = True
            self.serve()

    def is_warm(self, replica: int) -> bool:
        """Whether a call on it starts at once; where nothing is serverless all do."""
        calls = self.rule.serverless
        if calls is None or replica < calls.provisioned:
            return True
        return self.env.now <= self.warm_until.get(replica, -inf)

    # Models that take turns in the memory of a replica.

    def fits(self, there: list[int], model: int) -> bool:
        """Whether a model has room beside those, whose bytes are added up as they are written."""
        known = list(self.scenario.server_models.values())
        taken = sum(known[one].memory_bytes for one in self.models if one in there)
        return taken + known[model].memory_bytes <= self.rule.memory_bytes

    def first_in_memory(self) -> list[int]:
        """What a replica has in its memory when the run begins: each model that still has room, in order."""
        found: list[int] = []
        for model in self.models:
            if self.rule.load_s is None or self.fits(found, model):
                found.append(model)
        return found

    def come_back(self, replicas: range) -> None:
        """They are up anew, each with the model of a batch that it has kept."""
        for replica in replicas:
            self.in_memory[replica] = [run.batch[0].model for run in self.runs[replica]]

    def has_model(self, replica: int, batch: list[Any]) -> bool:
        return self.rule.load_s is None or batch[0].model in self.in_memory[replica]

    def load(self, replica: int, batch: list[Any]) -> float:
        """Brings in a batch's model, and throws out what was not used for longest; gives the time."""
        if self.rule.load_s is None:
            return 0.0
        model, there = batch[0].model, self.in_memory[replica]
        if model in there:
            there.remove(model)
            there.append(model)
            return 0.0
        while not self.fits(there, model):
            there.pop(0)
        there.append(model)
        batch[0].loads += 1
        return float(self.rule.load_s)

    def choose_model(self, batch: list[Any]) -> int:
        """The place of the model that answers a batch which starts now."""
        switch, top = self.switch, len(self.models) - 1
        if switch.kind == "backlog":
            if self.backlog() >= switch.above:
                return max(0, self.width - 1)
            return min(top, self.width + 1) if self.backlog() <= switch.below else self.width
        for width in range(top, 0, -1):
            self.answer_by(batch, width)
            if switch.kind == "deadline":
                works = [self.work_of(send) for send in batch]
                takes = self.times.mean[len(batch)] * (sum(works) / len(works)) * self.rule.stage_overhead
                if self.env.now + takes <= min(send.request.deadline for send in batch):
                    return width
            else:
                now = period_of(self.env.now, switch.every_s)
                came = sum(period_of(at, switch.every_s) == now - 1 for at in self.came)
                work = list(self.scenario.server_models.values())[self.models[width]].work
                share = self.rule.stage_overhead / self.rule.stages
                busy_s = came * (self.times.mean[self.rule.max_batch] * work * share)
                served = self.usable * self.rule.max_batch * switch.most_load
                if busy_s <= switch.every_s * served:
                    return width
        return 0

    def answer_by(self, batch: list[Any], width: int) -> None:
        for send in batch:
            send.model = self.models[width]

    def batch_s(self, replica: int, batch: list[Any]) -> float:
        """Seconds that a batch takes if it starts now."""
        factor = self.times.factor_one(*batch[0].place, batch[0].returns)
        works = [self.work_of(send) for send in batch]
        items = sum(send.request.items for send in batch)
        time = service_s(self.times, items, factor, sum(works) / len(batch))
        return time * (self.slowed(replica) * self.slows())

    def go_on(self, replica: int, run: Run, ends: float) -> Life:
        """Works on a batch until it is done."""
        run.ends = ends
        yield self.env.at(ends, Kind.COMPLETE, self.place, replica)
        if run not in self.runs[replica] or run.ends != ends:
            return  # stopped by an outage
        self.measure()
        self.runs[replica].remove(run)
        if self.rule.serverless and replica < self.usable:
            self.warm_until[replica] = self.env.now + self.rule.serverless.keep_alive_s
        for send in run.batch:
            send.finished, send.backlog = self.env.now, self.backlog()
            self.env.process(self.answer(send, "remote"))
        if self.rule.stages == 1:  # else the next one enters as the first stage is free
            self.serve()

    def slowed(self, replica: int) -> float:
        """The product over everything that slows this replica down now; 1 = nothing."""
        found = 1.0
        for when, hit, factor in self.slow.spans:
            if replica >= self.replicas - hit and not when.is_up(self.env.now):
                found *= factor
        return found

    # Capacity.

    def outages(self) -> Life:
        timeline = World(self.scenario).capacities[self.place]
        for at, taken in zip(timeline.at_s.tolist(), timeline.taken.tolist(), strict=True):
            kind = Kind.CAPACITY_UP if taken < self.taken else Kind.CAPACITY_DOWN
            yield self.env.at(at, kind, 2 * self.place)
            self.change_capacity(self.replicas, taken, self.rule.in_flight)

    def change_capacity(self, replicas: int, taken: int, in_flight: str) -> None:
        """Replicas stop or start from the highest index; `in_flight` says what becomes of their batches.

        An outage that leaves nothing usable stops everything, replicas included that only end their batches.
        """
        was, is_total = self.usable, taken > self.taken and taken >= replicas
        self.measure()
        self.replicas, self.taken = replicas, taken
        for replica in range(self.usable, was):
            self.warm_until.pop(replica, None)
        self.come_back(range(was, self.usable))
        if in_flight != "finish":
            last = len(self.runs) if is_total else was
            stopped = [
                (replica, run)
                for replica in range(self.usable, last)
                if replica not in self.held
                for run in self.runs[replica]
            ]
            stopped.sort(key=lambda one: one[1].batch[0].started)
            sends = [send for _, run in stopped for send in run.batch]
            for replica, run in stopped:
                if in_flight in ("resume", "restart"):
                    self.held[replica] = run.ends - self.env.now
                    run.ends = inf
                else:
                    self.runs[replica].remove(run)
            for replica in range(self.usable, last):
                self.takes_next[replica] = True
                self.left_at[replica] = [-inf] * self.rule.stages
            for send in sends:
                if in_flight == "lose":
                    send.cause = "lost"
                elif in_flight == "requeue":
                    send.started, send.replica, send.batch_size = nan, -1, 0
                    send.model = send.option.model
                    send.returns += 1
            if in_flight == "requeue":
                self.returned = sends + self.returned
        self.release()
        if was and not self.usable and not self.rule.queue_survives:
            for send in [*self.returned, *self.waiting]:
                send.cause = "lost"
            self.returned, self.waiting = [], []
        self.serve()

    def release(self) -> None:
        """Batches that stand still go on where their replica is usable again; or, where it was scaled in
        meanwhile, once anything is usable."""
        for replica in sorted(self.held):
            if replica < self.usable or (self.usable and replica >= self.replicas):
                left, (run,) = self.held.pop(replica), self.runs[replica]
                if self.rule.in_flight == "restart":
                    self.in_memory[replica] = []
                    left = self.batch_s(replica, run.batch) + self.load(replica, run.batch)
                self.env.process(self.go_on(replica, run, self.env.now + left))

    # Autoscaling.

    def measure(self) -> None:
        """Adds up the seconds that usable replicas were busy, were usable, and that replicas were there."""
        span = self.env.now - self.measured_at
        self.busy_s += sum(map(len, self.runs[: self.usable])) * span / self.rule.stages
        self.usable_s += self.usable * span
        self.replica_s += self.replicas * span
        self.measured_at = self.env.now

    def scaling(self) -> Life:
        rule = self.rule.autoscaling
        for tick in count(1):
            yield self.env.at(tick * rule.interval_s, Kind.CAPACITY_DOWN, 2 * self.place + 1)
            self.measure()
            needed = self.needed()
            self.busy_s = self.usable_s = self.replica_s = 0.0
            if needed is None:
                continue
            if abs(needed - self.replicas) <= rule.tolerance * self.replicas:
                needed = self.replicas
            fewest = max(rule.min, 1 if self.inside() else 0)
            wanted = max(min(max(ceil(round(needed, 6)), rule.min), rule.max), fewest)
            self.wanted.append((tick, wanted))
            if self.env.now < self.changed_at + rule.cool_down_s:
                continue
            ordered = self.replicas + len(self.coming)
            since = tick - rule.stabilise_s / rule.interval_s - 1e-9
            lately = max(then for at, then in self.wanted if at >= since)
            wanted = max(wanted, min(ordered, lately))
            if wanted != ordered:
                self.changed_at = self.env.now
            self.scale_to(wanted)

    def needed(self) -> float | None:
        """How many replicas it would take, not rounded; None: nobody can say, since nothing was usable."""
        rule = self.rule.autoscaling
        if not self.usable_s and (self.replicas or not rule.target_queue):
            return None
        if rule.target_queue:
            return self.inside() / rule.target_queue
        load = self.replica_s / rule.interval_s * (self.busy_s / self.usable_s)
        return load / rule.target_utilisation

    def inside(self) -> int:
        return self.backlog() + sum(len(run.batch) for runs in self.runs for run in runs)

    def scale_to(self, wanted: int) -> None:
        """More are ordered; fewer: the last ordered are cancelled, then replicas take no more batches."""
        for _ in range(wanted - self.replicas - len(self.coming)):
            self.coming.append(self.env.now + self.rule.autoscaling.provisioning_s)
        del self.coming[max(0, wanted - self.replicas) :]
        if wanted < self.replicas:
            self.change_capacity(wanted, self.taken, "finish")
        self.env.process(self.provision())

    def provision(self) -> Life:
        """Replicas ordered at this tick are there after a while, unless they were cancelled."""
        ready_at = self.env.now + self.rule.autoscaling.provisioning_s
        if ready_at in self.coming:
            if ready_at > self.env.now:
                yield self.env.at(ready_at, Kind.CAPACITY_UP, 2 * self.place + 1)
            there = self.coming.count(ready_at)
            self.coming = [at for at in self.coming if at != ready_at]
            if there:
                self.change_capacity(self.replicas + there, self.taken, "finish")
