"""Options: whom the clients of each group may ask. A server and a model, reached over a link, at a price.
Made once per run from the scenario; where it names none, every model of every server is one."""

from __future__ import annotations

from dataclasses import dataclass

from sim.scenario import Group, Scenario
from sim.scenario.schema import fleet
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
    servers, models = scenario.station_names, tuple(scenario.server_models)
    shared = {one.link: (place, one.latency) for place, one in enumerate(scenario.network)}
    found = []
    for one in written(scenario, group):
        link = one.link or group.link
        over = link.over if one.over is None else one.over
        found.append(
            Option(
                one.option,
                servers.index(one.server),
                models.index(one.model if one.model is not None else _only(scenario, one.server)),
                LinkDelays(scenario.seed, link, [(name, shared[name][1]) for name in over]),
                scenario.costs.c_e if one.c_e is None else one.c_e,
                tuple(shared[name][0] for name in over),
                8.0 * link.payload_bytes,
            )
        )
    return tuple(found)


def written(scenario: Scenario, group: Group) -> tuple[fleet.Option, ...]:
    """The options as the scenario has them, or as it means them where it says none."""
    if group.options is not None:
        return group.options
    pairs = [
        (server, model)
        for place, server in enumerate(scenario.station_names)
        for model in scenario.models_of(place)
    ]
    several = len({model for _, model in pairs}) > 1
    return tuple(
        fleet.Option(option=f"{server}-{model}" if several else server, server=server, model=model)
        for server, model in pairs
    )


def _only(scenario: Scenario, server: str) -> str:
    (model,) = scenario.models_of(scenario.station_names.index(server))
    return model
