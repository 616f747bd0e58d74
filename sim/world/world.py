"""What follows from a scenario before a run begins, each thing derived once and handed to whoever asks.
Made once per run; everything in the rooms beside it is a pure function that this calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sim.scenario import Scenario
from sim.world.arrivals.think_times import ThinkTimes, think_times
from sim.world.budgets import Accounts, accounts
from sim.world.cells import Cells, cells
from sim.world.energy import Power, power
from sim.world.federation import Federated, federated
from sim.world.network import Network, network
from sim.world.options import Option, Way, options
from sim.world.outages.capacity import Capacity, Interval, capacity, intervals, mean_availability, slowness
from sim.world.outages.links import Links
from sim.world.outages.times import OutageTimes, outage_times
from sim.world.parameters import Parameters, parameters_of
from sim.world.peers import away
from sim.world.population import Population, population
from sim.world.presence import Presence, presence
from sim.world.reachable import MERGES
from sim.world.release_schedule import Schedule, rounds, schedule, schedule_of, training_spans
from sim.world.stations import Station, station
from sim.world.trained import Round, hosts, trained


@dataclass(frozen=True, eq=False)
class World:
    """One scenario, unfolded. The law: nothing of it depends on what happens in the run, or on who asks.

    shared_numbers: how many numbers a rejector of each group shares where clients learn together, which the
    learners know; empty: nobody asked them.
    """

    scenario: Scenario
    shared_numbers: tuple[int, ...] = ()

    def sharing(self, numbers: tuple[int, ...]) -> World:
        """The same, given how much is shared."""
        return self if numbers == self.shared_numbers else replace(self, shared_numbers=numbers)

    @cached_property
    def population(self) -> Population:
        return population(self.scenario)

    @cached_property
    def presence(self) -> Presence:
        """Which clients are there when."""
        return presence(self.scenario, self.population)

    @cached_property
    def cells(self) -> Cells:
        """Where clients are when."""
        return cells(self.scenario, self.population)

    @cached_property
    def outage_times(self) -> tuple[OutageTimes, ...]:
        return outage_times(self.scenario, self.population)

    @cached_property
    def intervals(self) -> list[Interval]:
        return intervals(self.scenario, self.outage_times)

    @cached_property
    def capacities(self) -> tuple[Capacity, ...]:
        """Per server."""
        scenario, clients, times = self.scenario, self.population, self.outage_times
        return tuple(
            capacity(scenario, place, times, away(scenario, clients, place, times, self.presence))
            for place in self._places
        )

    @cached_property
    def availabilities(self) -> tuple[float, ...]:
        """Per server the mean one."""
        return tuple(
            mean_availability(self.scenario, place, known) for place, known in enumerate(self.capacities)
        )

    @cached_property
    def links(self) -> Links:
        return Links(self.outage_times)

    @cached_property
    def stations(self) -> tuple[Station, ...]:
        """The servers, slowed by their outages and by training."""
        return tuple(
            station(
                self.scenario,
                place,
                self.capacities[place],
                slowness(self.scenario, place, self.outage_times).beside(
                    training_spans(self.scenario, self.rounds[place])
                ),
            )
            for place in self._places
        )

    @property
    def _places(self) -> range:
        return range(len(self.scenario.stations))

    @cached_property
    def options(self) -> tuple[tuple[Option, ...], ...]:
        """Per group whom its clients may ask."""
        return tuple(of_group for of_group, _ in self._options_and_ways)

    @cached_property
    def ways(self) -> tuple[tuple[Way, ...], ...]:
        """Per group how these are reached and served."""
        return tuple(of_group for _, of_group in self._options_and_ways)

    @cached_property
    def _options_and_ways(self) -> tuple[tuple[tuple[Option, ...], tuple[Way, ...]], ...]:
        return tuple(options(self.scenario, group) for group in self.scenario.fleet)

    @cached_property
    def network(self) -> Network:
        """The links that clients share."""
        return network(self.scenario)

    @cached_property
    def power(self) -> Power:
        """What devices draw and harvest."""
        return power(self.scenario)

    @cached_property
    def rounds(self) -> tuple[tuple[Round, ...], ...]:
        """Of training during the run, per server; none of servers that have no model that is trained."""
        return self._rounds(())

    def _rounds(self, gaps_s: Sequence[float]) -> tuple[tuple[Round, ...], ...]:
        has: NDArray[np.bool_] = np.any(hosts(self.scenario)[list(trained(self.scenario))], axis=0)
        return tuple(
            rounds(self.scenario, drawn, gaps_s, place) if has[place] else ()
            for place, drawn in enumerate(self.capacities)
        )

    @cached_property
    def federated(self) -> Federated | None:
        """Where clients learn together."""
        if self.scenario.federation is None:
            return None
        known = self.population, self.presence, self.cells, self.shared_numbers
        return federated(self.scenario, *known, self.capacities[MERGES], self.links)

    @cached_property
    def schedule(self) -> Schedule:
        """As far as it is known before t = 0."""
        if self.federated is not None:
            return schedule_of(self.federated)
        return self.schedule_after(())

    def schedule_after(self, gaps_s: Sequence[float]) -> Schedule:
        """The schedule of servers that learn, once rounds have chosen these gaps, seconds."""
        held = self._rounds(gaps_s) if gaps_s else self.rounds
        return schedule(self.scenario, self.population, held, self.capacities, self.links, gaps_s)

    @cached_property
    def accounts(self) -> Accounts:
        return accounts(self.scenario, self.population)

    @cached_property
    def think_times(self) -> tuple[ThinkTimes | None, ...]:
        """Per group, of a closed loop."""
        return tuple(think_times(self.scenario.seed, group) for group in self.scenario.fleet)

    @cached_property
    def parameters(self) -> Parameters:
        """What the loop reads."""
        return parameters_of(self)
