"""Options as a scenario has them, or means them where it names none: whom a group's clients may ask.
Read by `sim.world.options` for the run and by `agents.options` for learning."""

from __future__ import annotations

from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import Group, Option


def written(scenario: Scenario, group: Group) -> tuple[Option, ...]:
    """The options of a group; every model of every server where it names none."""
    if group.options is not None:
        return group.options
    pairs = [
        (server, model)
        for place, server in enumerate(scenario.station_names)
        for model in scenario.models_of(place)
    ]
    several = len({model for _, model in pairs}) > 1
    return tuple(
        Option(option=f"{server}-{model}" if several else server, server=server, model=model)
        for server, model in pairs
    )


def model_of(scenario: Scenario, option: Option) -> int:
    """The place of an option's model among `Scenario.server_models`."""
    names = list(scenario.server_models)
    if option.model is not None:
        return names.index(option.model)
    (only,) = scenario.models_of(scenario.station_names.index(option.server))
    return names.index(only)
