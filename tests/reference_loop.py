"""A request's life told as a SimPy process: the readable definition of what the product's loop must do.

Each request is one generator; the server is one object, told in `reference_server`, and so are a client's
circuit breaker and budget, told in `reference_limits`. What chance decides is asked from the same keyed draws
as in the product, so the two are compared byte by byte. Nothing here is fast, and nothing is clever: where
this file and `sim.engine.handlers` disagree, this file is right.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import count
from math import inf, nan

import numpy as np
import simpy
from reference_energy import Device
from reference_federation import Together
from reference_learning import School, sample_of
from reference_limits import Bucket, CircuitBreaker, Periods, account
from reference_network import Link as SharedLink
from reference_prices import Calibration, Client, weighed
from reference_schools import Schools
from reference_server import Server, Timeline, alone
from reference_sessions import Progress

from sim.engine.events import Kind
from sim.messages import Learned
from sim.ports import OnlineLearner
from sim.registry.durations import mean_s
from sim.registry.scores import SCORES
from sim.scenario import Group, Scenario
from sim.scenario.schema.fleet import Link
from sim.scenario.schema.fleet import Option as WrittenOption
from sim.streams import Draws
from sim.world.arrivals.source import ArrivalSource
from sim.world.arrivals.think_times import ThinkTimes, think_times
from sim.world.delays import Backoff, LinkDelays
from sim.world.options import Option
from sim.world.outages.links import Links
from sim.world.parameters import millionths
from sim.world.population import CLIENT_SHIFT, population
from sim.world.world import World

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
    option: Option
    computed: float = nan  # when its device is done with its part of it
    reached: float = nan
    started: float = nan
    finished: float = nan
    replica: int = -1
    batch_size: int = 0
    cause: str = "none"
    accepted: bool = False
    is_cold: bool = False
    loads: int = 0  # how often its model came into memory for a batch that it heads
    backlog: int = 0  # how many waited at the server when it sent its word
    returns: int = 0  # to the queue, from batches that an outage stopped
    model: int = -1  # which answers
    delays: LinkDelays | None = None  # what its way takes, there and back

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
    deadline: float
    decided: float = nan
    work: float = 1.0
    drawn: int = 0  # nanojoules
    first_item: int = -1  # of a block of a session, which has so many items and drafts so many
    items: int = 1
    drafts: int = 0
    server_version_at_decision: int = -1
    copy_version: int = -1
    rejector_version: int = -1
    charge: float = 1.0
    score: float = nan
    client_label: int = -1
    threshold: float = nan
    propensity: float = nan
    deferred: bool = False
    scores: list[float] = field(default_factory=list)
    worth: list[int] = field(default_factory=list)  # the options that would do
    computed: set[str] = field(default_factory=set)  # the options whose part its device has done
    outcome: str = "in_flight"
    resolved: float = nan
    heard: Send | None = None  # the attempt that was heard of last
    sends: list[Send] = field(default_factory=list)
    leaves: simpy.Event | None = None  # with the others of its batch, or what keeps it from that
    together: list[Request] = field(default_factory=list)  # those that leave with it


def backoff_s(seed: int, group: Group, request_id: int, failed_attempt: int) -> float:
    """Seconds between the failure of an attempt and the next one."""
    step = Backoff(seed, group.retry).steps[failed_attempt - 1]
    if group.retry.jitter == "none":
        return step
    return step * Draws(seed, "backoff").one(request_id, failed_attempt)


def written(group: Group, option: Option) -> WrittenOption:
    """An option, as the scenario has it."""
    named = {one.option: one for one in group.options or ()}
    return named.get(option.name) or WrittenOption(option="o", server="s")


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
        self.options, self.cells = World(scenario).options, World(scenario).cells.in_force
        self.links = Links(World(scenario).outage_times)
        self.requests: list[Request] = []
        several = max(len(scenario.stations), len(scenario.server_models)) > 1
        school = Together if scenario.federation else Schools if several else School
        self.school = school(self.env, scenario, learned, self.requests, learner)
        self.servers = [
            Server(self.env, scenario, place, partial(self.school.slows, place), self.reply, self.work)
            for place in range(len(scenario.stations))
        ]
        self.shared_links = [
            SharedLink(self.env, World(scenario).network, place) for place in range(len(scenario.network))
        ]
        power = World(scenario).power
        self.devices = [
            Device(scenario.fleet[g], power, g) for g in map(int, self.clients.group[: scenario.clients])
        ]
        self.allowance: dict[object, int] = {}  # retry tokens that each owner has
        self.breakers = [
            [CircuitBreaker(rule) if (rule := self.group(client).breaker) else None for _ in self.servers]
            for client in range(scenario.clients)
        ]
        self.backlogs: dict[tuple[int, int], int] = {}  # as last told, per client and server
        self.turns: dict[int, int] = {}
        self.collected: list[list[Request]] = [[] for _ in range(scenario.clients)]
        self.accounts: dict[tuple[str, int], Bucket | Periods] = {}
        self.may_release = scenario.costs.charge_on != "send"
        self.policies = [
            Client(
                scenario,
                self.group(client),
                partial(cache(self.calibration), int(self.clients.group[client])),
                self.options[self.clients.group[client]],
            )
            for client in range(scenario.clients)
        ]

    def run(self) -> list[Request]:
        self.env.process(self.school.outages())
        self.env.process(self.school.rounds())
        for server in self.servers:
            self.env.process(server.outages())
            if server.rule.autoscaling:
                self.env.process(server.scaling())
        next_k = [0] * self.scenario.clients
        for index in count():
            start = index * self.chunk_s
            if start >= self.scenario.horizon_s:
                break
            chunk = self.arrivals.draw(index, start, min(start + self.chunk_s, self.scenario.horizon_s))
            works = [nan] * len(chunk.at_s) if chunk.told is None else chunk.told["work"].tolist()
            for at, client, work in zip(chunk.at_s.tolist(), chunk.client.tolist(), works, strict=True):
                request_id = client << CLIENT_SHIFT | next_k[client]
                next_k[client] += 1
                request = self.request(request_id, client, at)
                one_work = self.group(client).arrivals.process.one_work()
                if one_work:
                    request.work *= work / one_work
                self.env.process(self.life(request))
        for client in range(self.scenario.clients):
            think = think_times(self.scenario.seed, self.group(client))
            if think:
                self.env.process(self.ask_again_and_again(client, think))
        while self.env.peek() < self.scenario.horizon_s:
            self.env.step()
        return sorted(self.requests, key=lambda request: request.request_id)

    def request(self, request_id: int, client: int, at: float) -> Request:
        within_s = self.group(client).deadline_s
        deadline = at + (inf if within_s is None else within_s)
        self.requests.append(Request(request_id, client, self.sample(request_id, client, at), at, deadline))
        self.requests[-1].work = self.group(client).service_factor
        return self.requests[-1]

    def ask_again_and_again(self, client: int, think: ThinkTimes) -> Life:
        """A closed loop: the client thinks, asks once or several times, and waits for the last word before it
        thinks again."""
        at = float(think.first(np.array([client]))[0])
        at_once, session = self.group(client).arrivals.process.at_once, self.group(client).session
        progress = Progress(session, partial(self.agree, client)) if session else None
        for k in count(0, at_once):
            if at >= self.scenario.horizon_s:
                return
            asked = [self.request(client << CLIENT_SHIFT | k + i, client, at) for i in range(at_once)]
            if progress:
                progress.begin(asked[0])
                asked[0].sample = self.sample(client << CLIENT_SHIFT | progress.final, client, at)
            yield simpy.AllOf(self.env, [self.env.process(self.life(request)) for request in asked])
            over = max(request.resolved for request in asked)
            pause_s = float(think.before(np.array([client << CLIENT_SHIFT | k + at_once]))[0])
            if progress:
                progress.end(asked[0])
                pause_s = progress.pause_s(pause_s)
            at = over + pause_s

    def agree(self, client: int, item: int) -> bool:
        """Whether a client and the server that it asks answer an item alike."""
        g = self.clients.group[client]
        sample = self.sample(client << CLIENT_SHIFT | item, client, 0.0)
        own = self.learned.tables.groups[g].client_label[self.clients.variant[client], sample]
        return own == np.atleast_2d(self.learned.tables.server_label)[self.options[g][0].model, sample]

    def life(self, request: Request) -> Life:
        """From arrival to the client's last word."""
        group = self.group(request.client)
        yield self.env.at(request.arrived, Kind.ARRIVAL, request.request_id, 0)
        device = self.devices[request.client]
        if not device.begins(self.env.now, request):
            request.outcome, request.resolved = "no_power", self.env.now
            return
        answers = request.drafts if group.session else 1
        device.free_at = max(request.arrived, device.free_at) + group.device.inference_s * answers
        yield self.env.at(device.free_at, Kind.DECISION, request.request_id, 0)
        if not device.works(self.env.now, request):
            request.outcome, request.resolved = "no_power", self.env.now
            return
        request.decided, request.charge = self.env.now, device.charge()
        self.school.note_versions(request)
        request.client_label = self.client_label(request)
        self.policies[request.client].decide(request, self.scores(request))
        if not request.deferred:
            outcome = "local"
        elif request.decided >= request.deadline:
            outcome = "timed_out"
        else:
            outcome = yield from self.ask(request, group)
        request.outcome, request.resolved = outcome, self.env.now
        if group.device.batch and not request.leaves:
            self.send_if_full(request, group)

    def ask(self, request: Request, group: Group) -> Life:
        """Sends until an answer comes, no retry is left, or something forbids to send; gives the outcome."""
        outcome = ""
        while True:
            option = self.choose(request, group)
            if group.device.batch and not request.sends:
                obstacle = yield from self.wait_for_others(request, group)
            else:
                obstacle = self.obstacle(request.client, group, option.server)
            if obstacle:
                return outcome or obstacle
            if not request.sends:
                self.earn(request.client, group)
            outcome = yield from self.outcome_of(request, group, option)
            sent = len(request.sends)
            if outcome in ("remote", "no_power") or sent >= (group.retry.attempts if group.retry else 1):
                return outcome
            if group.retry.allowance is not None and self.tokens(request.client, group) < TOKEN:
                return outcome
            again = self.env.now + backoff_s(self.scenario.seed, group, request.request_id, sent)
            if again >= request.deadline:
                return outcome
            if group.retry.allowance is not None:
                self.allowance[self.owner(request.client, group)] -= TOKEN
            yield self.env.at(again, Kind.TIMER, request.request_id, sent + 1)
            if not self.devices[request.client].works(self.env.now, request):
                return "no_power"

    def wait_for_others(self, request: Request, group: Group) -> Life:
        """Until it leaves with others, or something keeps it from that, which is what this gives, else ""."""
        request.leaves = self.env.event()
        self.collected[request.client].append(request)
        self.env.process(self.end_wait(request, group))
        self.send_if_full(request, group)
        return (yield request.leaves)

    def end_wait(self, request: Request, group: Group) -> Life:
        """It has waited as long as it may, and all that its client has collected leaves; or no answer could
        come in time any more."""
        wait_s = group.device.batch.wait_s
        until = min(request.decided + (inf if wait_s is None else wait_s), request.deadline)
        if until == inf:
            return
        yield self.env.at(until, Kind.TIMER, request.request_id, 1)
        if request.leaves.triggered:
            return
        if until >= request.deadline:
            self.collected[request.client].remove(request)
            request.leaves.succeed("timed_out")
        else:
            self.send_together(request.client, group)

    def send_if_full(self, request: Request, group: Group) -> None:
        """A request is decided: its client sends what it has collected after so many decisions, or sends; and
        in a closed loop after the last that it makes before it has their answers."""
        number, process = (request.request_id & ((1 << CLIENT_SHIFT) - 1)) + 1, group.arrivals.process
        batch, collected = group.device.batch, self.collected[request.client]
        is_last = False
        if process.kind == "closed_loop":
            number = (number - 1) % process.at_once + 1
            is_last = number == process.at_once
        counted = number if batch.of == "requests" else len(collected)
        if collected and (counted % batch.size == 0 or is_last):
            self.send_together(request.client, group)

    def send_together(self, client: int, group: Group) -> None:
        """What a client has collected leaves, in order, but for what has an obstacle of its own."""
        collected, self.collected[client] = self.collected[client], []
        (option,) = self.options[self.clients.group[client]]
        together: list[Request] = []
        for request in collected:
            obstacle = self.obstacle(client, group, option.server)
            if not obstacle:
                together.append(request)
            request.together = together
            request.leaves.succeed(obstacle)

    def outcome_of(self, request: Request, group: Group, option: Option) -> Life:
        """One attempt, or the first and a hedge beside it: the first answer, or the last of the failures."""
        is_first = not request.sends
        device, under_way = self.devices[request.client], [self.send(request, group, option)]
        if device.is_silent:
            return self.gives_up(request, group, under_way, "no_power")
        if is_first and group.hedge:
            hedge_at = request.decided + group.hedge.after_s
            due = self.env.at(hedge_at, Kind.HEDGE, request.request_id, 1)
            yield under_way[0].verdict | due
            if not under_way[0].verdict.triggered:
                another = self.hedge(request, group)
                under_way += another
                if another and device.is_silent:
                    return self.gives_up(request, group, under_way, "no_power")
        while True:
            yield simpy.AnyOf(self.env, [send.verdict for send in under_way])
            if not device.works(self.env.now, request):
                return self.gives_up(request, group, under_way, "no_power")
            send = next(send for send in under_way if send.verdict.triggered)
            under_way.remove(send)
            outcome = send.verdict.value
            self.told(send, group, outcome)
            if outcome == "remote":
                return self.gives_up(request, group, under_way, outcome)
            if not under_way:
                return outcome

    def gives_up(self, request: Request, group: Group, under_way: list[Send], outcome: str) -> str:
        """Nobody waits for these any more; what they reserved stays spent."""
        for loser in under_way:
            if group.budget and self.may_release:
                self.account(request.client, group).settle(self.env.now, self.env.now, True)
            breaker = self.breakers[request.client][loser.option.server]
            if breaker:
                breaker.forgets(loser.sent)
        return outcome

    def hedge(self, request: Request, group: Group) -> list[Send]:
        """A second attempt to another option that nothing keeps the client from, if there is one."""
        if self.env.now >= request.deadline:
            return []
        if not self.devices[request.client].works(self.env.now, request):
            return []
        option = self.choose(request, group, is_hedge=True)
        if option is request.sends[0].option or self.obstacle(request.client, group, option.server):
            return []
        return [self.send(request, group, option)]

    def choose(self, request: Request, group: Group, is_hedge: bool = False) -> Option:
        """Whom an attempt asks: of the options that would do the first in the order of the choice that
        nothing keeps its client from; if something keeps it from all, the first of all."""
        options, client = self.options[self.clients.group[request.client]], request.client
        before = self.ended_last(request).option if request.sends else None
        if len(options) == 1:
            return options[0]
        if before and not is_hedge and group.retry.next == "same":
            return before
        failed = options.index(before) if before else None
        n = len(options)
        two = self.two_of(request, n)

        def place(j: int) -> tuple[float, ...]:
            backlog = self.backlogs.get((client, options[j].server), 0)
            turns = {"round_robin": self.turns.get(client, 0), "home": self.home(client, group, options)}
            by = group.choose
            if by in turns:
                at = (j - turns[by]) % n
            elif by in ("least_backlog", "two_choices"):
                at = backlog
            elif by == "nearest":
                here = self.cell(client, self.env.now)
                at = mean_s(written(group, options[j]).over_link(group.link, here).latency)
            elif failed is not None:
                at = (j - failed - 1) % n
            else:
                at = -request.scores[j] if by == "best" else j
            return (j == failed, by == "two_choices" and j not in two, at, j)

        worth = sorted(request.worth, key=place)
        free = [j for j in worth if not self.blocked(client, options[j].server)]
        return options[(free or worth)[0]]

    def home(self, client: int, group: Group, options: list[Option]) -> int:
        """The place of the option that is its own."""
        if group.homes is None:
            return client
        member = client - int(self.clients.first[self.clients.group[client]])
        return [option.name for option in options].index(group.homes[member])

    def ended_last(self, request: Request) -> Send:
        """The attempt that a retry or a hedge follows: the one heard of last, the first if none was yet."""
        return request.heard or request.sends[0]

    def two_of(self, request: Request, n: int) -> set[int]:
        """Two different options, drawn by the attempt."""
        number = len(request.sends) + 1
        draws = [Draws(self.scenario.seed, "choice").one(request.request_id, 2 * number + i) for i in (0, 1)]
        one, other = int(draws[0] * n), int(draws[1] * (n - 1))
        return {one, other + (other >= one)}

    def blocked(self, client: int, server: int) -> bool:
        breaker = self.breakers[client][server]
        closed = breaker is None or breaker.lets_pass(self.env.now)
        return not closed or not self.links.downtime(client).is_up(self.env.now)

    def obstacle(self, client: int, group: Group, server: int) -> str:
        """What keeps a client from sending now, as an outcome, asked in this order; else "". Takes budget."""
        breaker, now = self.breakers[client][server], self.env.now
        if breaker and not breaker.lets_pass(now):
            return "breaker_open"
        if not self.links.downtime(client).is_up(now):
            return "link_down"
        if group.budget and not self.account(client, group).take(now, self.may_release):
            return "over_budget"
        if breaker:
            breaker.sends()
        return ""

    def send(self, request: Request, group: Group, option: Option) -> Send:
        """One attempt leaves; its `verdict` is what the client learns of it: remote, refused or timed_out."""
        timeout = inf if group.timeout_s is None else group.timeout_s
        timer, number = min(self.env.now + timeout, request.deadline), len(request.sends) + 1
        send = Send(request, number, self.env.now, timer, self.env.event(), option)
        send.model = option.model
        request.sends.append(send)
        options = self.options[self.clients.group[request.client]]
        self.turns[request.client] = (options.index(option) + 1) % len(options)
        device, part = self.devices[request.client], self.written(send)
        if part.device_s and option.name not in request.computed:
            send.computed = device.free_at = max(device.free_at, self.env.now) + part.device_s
            if not device.computes(request, part.device_j):
                send.cause = "cancelled"
                return send
            self.env.process(self.compute(send))
        elif not self.leaves(send):
            return send
        self.env.process(self.give_up(send))
        return send

    def leaves(self, send: Send) -> bool:
        """Whether the device has what its radio takes for an attempt, which is under way then."""
        request, now = send.request, self.env.now
        longer = self.links.factor(request.client, now)
        if not self.devices[request.client].sends(now, request, self.link(send), longer):
            send.cause = "lost"
            return False
        self.env.process(self.travel(send))
        return True

    def compute(self, send: Send) -> Life:
        """The device does its part; then the attempt leaves, if its client still waits for it."""
        request = send.request
        yield self.env.at(send.computed, Kind.DECISION, *send.place)
        request.computed.add(send.option.name)
        if request.outcome != "in_flight" or send.verdict.triggered:
            send.cause = "cancelled"
            return
        is_gone = not self.devices[request.client].works(self.env.now, request)
        if is_gone:
            send.cause = "cancelled"
        if is_gone or not self.leaves(send):
            send.verdict.succeed("no_power")

    def told(self, send: Send, group: Group, outcome: str) -> None:
        """An attempt has ended for its client, whose budget, breaker and price are told."""
        request, option = send.request, send.option
        request.heard = send
        if group.budget and self.may_release:
            self.account(request.client, group).settle(send.sent, self.env.now, outcome != "refused")
        breaker = self.breakers[request.client][option.server]
        if breaker:
            breaker.hears(outcome == "remote", send.sent, self.env.now)
        version = bisect_right(self.school.in_force, send.started) - 1
        label = int(np.atleast_2d(self.school.server_label[version])[send.model, request.sample])
        self.policies[request.client].hears(self.env.now, outcome, send.backlog, request, label)
        if outcome != "timed_out":
            self.backlogs[request.client, option.server] = send.backlog

    def account(self, client: int, group: Group) -> Bucket | Periods:
        """The budget that a client draws on: its own, its group's, or the fleet's."""
        shared_by = group.budget.shared_by
        owner = {"client": client, "group": int(self.clients.group[client]), "fleet": 0}[shared_by]
        return self.accounts.setdefault((shared_by, owner), account(group.budget))

    def earn(self, client: int, group: Group) -> None:
        """A first send earns a share of a retry token; at most three are kept for each that shares."""
        if group.retry is not None and group.retry.allowance is not None:
            earned, owner = millionths(group.retry.allowance), self.owner(client, group)
            most = 3 * TOKEN * self.sharers(owner)
            self.allowance[owner] = min(most, self.tokens(client, group) + earned)

    def owner(self, client: int, group: Group) -> tuple[str, int]:
        """Who has its retry tokens: the client, its group, or the fleet."""
        by = group.retry.allowance_by
        return by, {"client": client, "group": int(self.clients.group[client]), "fleet": 0}[by]

    def tokens(self, client: int, group: Group) -> int:
        """What an owner has: one token for each client that shares, to begin with."""
        owner = self.owner(client, group)
        return self.allowance.setdefault(owner, TOKEN * self.sharers(owner))

    def sharers(self, owner: tuple[str, int]) -> int:
        by, number = owner
        if by == "client":
            return 1
        if by == "group":
            return self.scenario.fleet[number].clients
        return sum(g.clients for g in self.scenario.fleet if g.retry and g.retry.allowance_by == "fleet")

    def travel(self, send: Send) -> Life:
        """The way to the server; a message is swallowed unless the link is up throughout."""
        client = send.request.client
        left = self.env.now
        send.delays = self.delays(send)
        takes = alone(send.delays.latency_up, *send.place) + self.transfer_s(send)
        if send.attempt == 1 and send.request.together:  # by the latency of the first, one behind the other
            first, more = send.request.together[0], len(send.request.together) - 1
            takes = alone(send.delays.latency_up, first.request_id, 1) + self.transfer_s(send)
            takes += more * self.transfer_s(send)
        takes += (send.request.items - 1) * self.transfer_s(send)
        for up, _ in send.delays.over:
            takes += alone(up, *send.place)
        reaches = left + takes * self.links.factor(client, left)
        if not self.links.downtime(client).is_up_through(left, reaches):
            send.cause = "lost"
            return
        yield self.env.at(reaches, Kind.REACH, *send.place)
        for link in send.option.over:
            came = self.env.now
            yield from self.shared_links[link].carry(send, 8.0 * self.link(send).payload_bytes)
            if not self.links.downtime(client).is_up_through(came, self.env.now):
                send.cause = "lost"
                return
        send.reached = self.env.now
        self.servers[send.option.server].reach(send)

    def reply(self, send: Send, word: str) -> Life:
        """An answer or an error goes back over the downlink; a client that gave up does not hear it."""
        client = send.request.client
        takes = alone(send.delays.down, *send.place)
        for _, down in send.delays.over:
            takes += alone(down, *send.place)
        if word == "remote":
            takes += self.link(send).reply_s
        back = self.env.now + takes * self.links.factor(client, self.env.now)
        if not self.links.downtime(client).is_up_through(self.env.now, back):
            if word == "remote":
                send.cause = "lost"
            return
        yield self.env.at(back, Kind.REPLY, *send.place)
        if not send.verdict.triggered:
            send.verdict.succeed(word)

    def give_up(self, send: Send) -> Life:
        if send.timer < inf:
            yield self.env.at(send.timer, Kind.TIMER, *send.place)
            if not send.verdict.triggered:
                send.verdict.succeed("timed_out")

    def delays(self, send: Send) -> LinkDelays:
        """What the way takes that it sets out on now, from the cell that its client is in."""
        group, written = self.group(send.request.client), self.written(send)
        link = written.over_link(group.link, self.cell(send.request.client, self.env.now))
        shared = {one.link: one.latency for one in self.scenario.network}
        over = link.over if written.over is None else written.over
        return LinkDelays(self.scenario.seed, link, [(name, shared[name]) for name in over])

    def cell(self, client: int, at: float) -> str | None:
        """Where a client is, if its group moves."""
        moves = self.group(client).moves
        return moves.cells[self.cells.one(client, at)] if moves else None

    def link(self, send: Send) -> Link:
        """Its client's own link to whom it asks."""
        link, size = (
            self.written(send).link or self.group(send.request.client).link,
            self.written(send).payload_bytes,
        )
        return link if size is None else link.model_copy(update={"payload_bytes": size})

    def written(self, send: Send) -> WrittenOption:
        """Its option, as the scenario has it."""
        return written(self.group(send.request.client), send.option)

    def transfer_s(self, send: Send) -> float:
        link = self.link(send)
        return 8.0 * link.payload_bytes / link.bandwidth_bps if link.bandwidth_bps else 0.0

    def group(self, client: int) -> Group:
        return self.scenario.fleet[self.clients.group[client]]

    def sample(self, request_id: int, client: int, at: float) -> int:
        g = self.clients.group[client]
        phase = [phase for phase in self.learned.traffic[g] if phase.at_s <= at][-1]
        draw = Draws(self.scenario.seed, "sample").one(request_id)
        return sample_of(phase, client - self.clients.first[g], draw)

    def work(self, send: Send) -> float:
        """What the service time of a send is multiplied by: for its group and trace, as its model works, and
        for its sample."""
        name = [*self.scenario.server_models][send.model]
        own = self.learned.samples.work
        factor = 1.0 if own is None else np.atleast_2d(own)[-1 if own.ndim == 1 else send.model]
        of_sample = 1.0 if own is None else float(factor[send.request.sample])
        of_model = self.scenario.server_models[name].work * of_sample
        return send.request.work * of_model * self.written(send).work

    def scores(self, request: Request) -> list[float]:
        """One, or one of each option."""
        g = self.clients.group[request.client]
        table = self.school.score[request.rejector_version][g]
        if table is None:
            return [float(Draws(self.scenario.seed, "score").many([request.request_id]).astype("f4")[0])]
        row = table[self.row(request.client)]
        found = [one[request.sample] for one in (row if row.ndim == 2 else [row])]
        return [float(score - self.surcharge(g, place)) for place, score in enumerate(found)]

    def surcharge(self, g: int, place: int) -> np.float32:
        """What an option costs more than `costs` say, in the units of a score that is a gain; other scores
        know costs from their training."""
        option, training, costs = self.options[g][place], self.scenario.training, self.scenario.costs
        price = self.scenario.fleet[g].policy.price
        if SCORES[self.scenario.fleet[g].policy.score].unit == "rank" or price.needs_calibration:
            return np.float32(0.0)
        a = training.availability if training.availability and costs.charge_on == "send" else 1.0
        a = World(self.scenario).availabilities[option.server] if a == "observed" else a
        return np.float32(option.c_e / a - costs.c_e / a)

    def client_label(self, request: Request) -> int:
        g = self.clients.group[request.client]
        table = self.learned.tables.groups[g].client_label
        return int(table[self.clients.variant[request.client], request.sample])

    def row(self, client: int) -> int:
        """Its row in its group's table of scores: its own, or its variant's."""
        g = self.clients.group[client]
        member, rows = client - self.clients.first[g], len(self.learned.tables.groups[g].score)
        return int(member if rows == self.group(client).clients else self.clients.variant[client])

    def calibration(self, g: int, version: int) -> Calibration:
        """The calibration scores of a group's clients whose rejectors are ever of this version."""
        met, first, table = self.learned.calibration[g], self.clients.first[g], self.school.score[version][g]
        return [
            one
            for client in self.school.who_has(version)
            if self.clients.group[client] == g
            for one in weighed(table, self.row(client), met, client - first)
        ]
