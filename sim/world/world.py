"""What follows from a scenario before a run begins, each thing derived once and handed to whoever asks.
Made once per run; everything in the rooms beside it is a pure function that this calls."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from sim.scenario import Scenario
from sim.world.arrivals.think_times import ThinkTimes, think_times
from sim.world.budgets import Accounts, accounts
from sim.world.outages.capacity import Capacity, Interval, Slowness, capacity, intervals, mean_availability
from sim.world.outages.capacity import slowness as slowness_by_outages
from sim.world.outages.links import Links
from sim.world.outages.times import OutageTimes, outage_times
from sim.world.parameters import Rules, rules
from sim.world.population import Population, population
from sim.world.release_schedule import Round, Schedule, rounds, schedule, training_spans


@dataclass(frozen=True, eq=False)
class World:
    """One scenario, unfolded. The law: nothing of it depends on what happens in the run, or on who asks."""

    scenario: Scenario

    @cached_property
    def population(self) -> Population:
        return population(self.scenario)

    @cached_property
    def outage_times(self) -> tuple[OutageTimes, ...]:
        return outage_times(self.scenario, self.population)

    @cached_property
    def intervals(self) -> list[Interval]:
        return intervals(self.scenario, self.outage_times)

    @cached_property
    def capacity(self) -> Capacity:
        return capacity(self.scenario, self.outage_times)

    @cached_property
    def mean_availability(self) -> float:
        return mean_availability(self.scenario, self.capacity)

    @cached_property
    def links(self) -> Links:
        return Links(self.outage_times)

    @cached_property
    def slowness(self) -> Slowness:
        """Of the server, by its outages and by its own training."""
        spans = training_spans(self.scenario, self.rounds)
        return slowness_by_outages(self.scenario, self.outage_times).beside(spans)

    @cached_property
    def rounds(self) -> tuple[Round, ...]:
        return rounds(self.scenario, self.capacity)

    @cached_property
    def schedule(self) -> Schedule:
        return schedule(self.scenario, self.population, self.rounds, self.capacity, self.links)

    @cached_property
    def accounts(self) -> Accounts:
        return accounts(self.scenario, self.population)

    @cached_property
    def think_times(self) -> tuple[ThinkTimes | None, ...]:
        """Per group, of a closed loop."""
        return tuple(think_times(self.scenario.seed, group) for group in self.scenario.fleet)

    @cached_property
    def parameters(self) -> Rules:
        """What the loop reads."""
        return rules(self)
