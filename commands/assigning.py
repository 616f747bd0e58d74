"""Homes for the clients of a scenario: by a stochastic program, by what its plans taught, by nearness.
Between the command `homes` and the plans themselves (`analysis.statistics.assignment`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.assignment import Homes, Instance, Worth, learned, nearest, program, worth
from sim.errors import BadInput
from sim.scenario import Group, Scenario, write
from sim.scenario.asking import ways_of
from sim.scenario.options import written
from sim.scenario.rules.estimates import most_sent, served_hz
from sim.scenario.rules.rates import mean_rate_hz
from sim.world.world import World

WAYS = ("program", "learned", "nearest")
MOST_BUSY = 0.8  # of what a server can serve, that a plan may ask of it
GAP = 1e-4  # by what part a plan may be off the best
LEARNED_FROM = 12  # instances, under other seeds
MOST_CELLS = 40_000  # clients times servers times cases


class Assigned(NamedTuple):
    """What an assignment comes to. costs: expected, per request, in units of the loss, by way; worth: of
    knowing the case and of the program; homes: how many clients of each group have which option; scenario:
    with the homes of the way that was asked for, as YAML."""

    costs: dict[str, float]
    worth: Worth
    homes: dict[str, dict[str, int]]
    scenario: str


@dataclass(frozen=True)
class Assigning:
    """The instances of a scenario. A second of waiting costs `second`, in units of the loss; cases: instants,
    each under a seed of its own, at which servers have the replicas that outages leave."""

    plan: Scenario
    second: float
    cases: int

    def __post_init__(self) -> None:
        if not self.choosers:
            raise BadInput(f"homes: {self.plan.name} has no group with several options")
        servers, clients = len(self.plan.stations), sum(group.clients for _, group in self.choosers)
        if clients * servers * self.cases > MOST_CELLS:
            rule = f"at most {MOST_CELLS:,}, or the program takes too long"
            raise BadInput(f"homes: {clients} clients x {servers} servers x {self.cases} cases: {rule}")

    @cached_property
    def choosers(self) -> list[tuple[int, Group]]:
        """The groups that choose, and their places."""
        fleet = enumerate(self.plan.fleet)
        return [(place, group) for place, group in fleet if len(written(self.plan, group)) > 1]

    def instance(self, seed: int) -> Instance:
        """What is known under a seed: costs are of each client's requests in a second."""
        cost, latency, rates, moves = (
            np.concatenate(one) for one in zip(*map(self._of, self.choosers), strict=True)
        )
        rate = rates[:, None]
        capacity = MOST_BUSY * np.array(list(map(served_hz, self.plan.stations))) / self._most_work()
        room = capacity * np.array([self._usable(seed, case) for case in range(self.cases)])
        return Instance(
            cost=rate * cost,
            demand=rates,
            capacity=capacity,
            room=room,
            latency=np.broadcast_to(rate * self.second * latency, (self.cases, *latency.shape)),
            move=rates * self.second * moves,
            unserved=rates * self.plan.costs.c_1,
        )

    def _of(self, chooser: tuple[int, Group]) -> tuple[NDArray[np.float64], ...]:
        """c_e and seconds of each server by its cheapest option, requests a second, and the seconds that a
        move takes, per client of a group."""
        place, group = chooser
        cost, latency = np.zeros(len(self.plan.stations)), np.zeros(len(self.plan.stations))
        for server, position in enumerate(self._by_server(group)):
            cost[server], latency[server] = (
                self._price(group, position) if position >= 0 else (1e3 * self.plan.costs.c_1, 0.0)
            )
        rate = mean_rate_hz(self.plan, place) * most_sent(group) * group.service_factor
        moves = group.timeout_s or group.deadline_s or 1.0
        rows = group.clients
        return (
            np.tile(cost, (rows, 1)),
            np.tile(latency, (rows, 1)),
            np.full(rows, rate),
            np.full(rows, moves),
        )

    def _by_server(self, group: Group) -> list[int]:
        """The place of a group's cheapest option to each server, -1: it has none."""
        options, names = written(self.plan, group), self.plan.station_names
        found = []
        for name in names:
            mine = [place for place, option in enumerate(options) if option.server == name]
            found.append(min(mine, key=lambda place: sum(self._price(group, place)), default=-1))
        return found

    def _price(self, group: Group, position: int) -> tuple[float, float]:
        """c_e of an option, and the seconds to its answer without a queue, on average."""
        way = ways_of(self.plan, group)[position]
        c_e = self.plan.costs.c_e if way.option.c_e is None else way.option.c_e
        return c_e, way.answer_s

    def _most_work(self) -> NDArray[np.float64]:
        """The most work that a request of any group is to each server, beside its group's factor."""
        most = np.zeros(len(self.plan.stations))
        for _, group in self.choosers:
            ways = ways_of(self.plan, group)
            for server, position in enumerate(self._by_server(group)):
                if position >= 0:
                    most[server] = max(most[server], ways[position].work / group.service_factor)
        return np.where(most > 0, most, 1.0)

    def _usable(self, seed: int, case: int) -> list[float]:
        """The share of each server's replicas that outages leave at the case's instant."""
        world = World(self.plan.model_copy(update={"seed": seed + case}))
        at_s = (case + 0.5) / self.cases * self.plan.horizon_s
        return [
            float(known.usable_at(at_s)) / server.replicas
            for known, server in zip(world.capacities, self.plan.stations, strict=True)
        ]

    def assigned(self, way: str) -> Assigned:
        """The homes that a way gives, under the scenario's own seed; what the others would cost."""
        if way not in WAYS:
            raise BadInput(f"--by {way}: must be one of {', '.join(WAYS)}")
        instance = self.instance(self.plan.seed)
        others = (self.instance(self.plan.seed + (n + 1) * self.cases) for n in range(LEARNED_FROM))
        homes: dict[str, Homes] = {
            "program": program(instance, gap=GAP)[0],
            "learned": learned([(one, program(one, gap=GAP)[0]) for one in others]).homes(instance),
            "nearest": nearest(instance),
        }
        per_request = float(instance.demand.sum())
        costs = {name: program(instance, plan)[1] / per_request for name, plan in homes.items()}
        of_all = Worth(*(value / per_request for value in worth(instance, GAP)))
        fleet, counted, first = list(self.plan.fleet), dict[str, dict[str, int]](), 0
        for place, group in self.choosers:
            names = [option.option for option in written(self.plan, group)]
            by_server = self._by_server(group)
            mine = [names[by_server[server]] for server in homes[way][first : first + group.clients]]
            first += group.clients
            counted[group.group] = {name: mine.count(name) for name in names}
            fleet[place] = group.model_copy(update={"choose": "home", "homes": tuple(mine)})
        return Assigned(costs, of_all, counted, write(self.plan.model_copy(update={"fleet": tuple(fleet)})))
