"""Options as a scenario has them, or means them where it names none: whom a group's clients may ask.
Read by `sim.world.options` for the run and by `agents.options` for learning."""

from __future__ import annotations

from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import Group, Option


def written(scenario: Scenario, group: Group) -> tuple[Option, ...]:
    """The options of a group; every model of every server where it names none."""
    if group.options is not None:
        return group.options
    pairs: list[tuple[str, str | None]] = []
    for place, server in enumerate(scenario.station_names):
        switches = scenario.switch_of(place) is not None
        pairs += [(server, model) for model in ((None,) if switches else scenario.models_of(place))]
    several = len({model for _, model in pairs}) > 1
    return tuple(
        Option(option=f"{server}-{model}" if several and model else server, server=server, model=model)
        for server, model in pairs
    )


def model_of(scenario: Scenario, option: Option) -> int:
    """The place of an option's model among `Scenario.server_models`; where its server chooses, the last."""
    names = list(scenario.server_models)
    if option.model is not None:
        return names.index(option.model)
    return names.index(scenario.models_of(scenario.station_names.index(option.server))[-1])


def shares_of(scenario: Scenario, option: Option) -> tuple[float, ...] | None:
    """What share of an option's answers each of `Scenario.server_models` is expected to give; None where one
    gives all."""
    place = scenario.station_names.index(option.server)
    switch = scenario.switch_of(place)
    if switch is None or switch.shares is None:
        return None
    given = dict(zip(scenario.models_of(place), switch.shares, strict=True))
    return tuple(given.get(name, 0.0) for name in scenario.server_models)
