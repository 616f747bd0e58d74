"""Options: whom the clients of each group may ask. A server and a model, reached over a link, at a price.
Made once per run from the scenario."""

from __future__ import annotations

from dataclasses import dataclass

from sim.scenario import Group, Scenario
from sim.scenario.options import model_of, written
from sim.world.delays import LinkDelays


@dataclass(frozen=True)
class Option:
    """server, model: their places in the scenario. c_e: price of a charged send."""

    name: str
    server: int
    model: int
    link: LinkDelays
    c_e: float


def options(scenario: Scenario, group: Group) -> tuple[Option, ...]:
    """Those of a group, in order."""
    servers = scenario.station_names
    return tuple(
        Option(
            one.option,
            servers.index(one.server),
            model_of(scenario, one),
            LinkDelays(scenario.seed, one.link or group.link),
            scenario.costs.c_e if one.c_e is None else one.c_e,
        )
        for one in written(scenario, group)
    )
