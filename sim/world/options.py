"""Options: whom the clients of each group may ask. A server and a model, reached over a link, at a price.
Made once per run from the scenario."""

from __future__ import annotations

from dataclasses import dataclass

from sim.scenario import Group, Scenario
from sim.scenario.options import model_of, written
from sim.world.delays import LinkDelays


@dataclass(frozen=True)
class Option:
    """server, model: their places in the scenario. c_e: price of a charged send. over: the shared links on
    the way, by their places; bits: of a payload on them."""

    name: str
    server: int
    model: int
    link: LinkDelays
    c_e: float
    over: tuple[int, ...] = ()
    bits: float = 0.0


def options(scenario: Scenario, group: Group) -> tuple[Option, ...]:
    """Those of a group, in order."""
    servers = scenario.station_names
    shared = {one.link: (place, one.latency) for place, one in enumerate(scenario.network)}
    found = []
    for one in written(scenario, group):
        link = one.link or group.link
        over = link.over if one.over is None else one.over
        found.append(
            Option(
                one.option,
                servers.index(one.server),
                model_of(scenario, one),
                LinkDelays(scenario.seed, link, [(name, shared[name][1]) for name in over]),
                scenario.costs.c_e if one.c_e is None else one.c_e,
                tuple(shared[name][0] for name in over),
                8.0 * link.payload_bytes,
            )
        )
    return tuple(found)
