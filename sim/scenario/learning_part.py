"""What of a scenario learning sees: the rest is set to one value, so nothing that is learned depends on it.
Two scenarios with the same part share what was learned, by `commands.learnings`."""

from __future__ import annotations

from typing import Any

from sim.registry.service import Affine
from sim.registry.switches import BacklogSwitch, SwitchRule
from sim.scenario.schema.document import Engine, Scenario
from sim.scenario.schema.fleet import Group
from sim.scenario.schema.server import NamedServer, Server

NO_SERVICE = Affine(kind="affine", base_s=1.0)
UNSEEN_OF_GROUPS = (
    "choose",
    "presence",
    "moves",
    "homes",
    "deadline_s",
    "timeout_s",
    "retry",
    "provisional_after_s",
    "breaker",
    "budget",
)


def with_availability(scenario: Scenario, availability: float | None) -> Scenario:
    """The scenario with a number in place of `training.availability: observed`, where there is one."""
    training = scenario.training
    if training.availability != "observed" or availability is None:
        return scenario
    known = training.model_copy(update={"availability": availability})
    return scenario.model_copy(update={"training": known})


def learning_part(scenario: Scenario, availability: float | None) -> Scenario:
    """The scenario as learning sees it. availability: what `training.availability: observed` stands for.

    Of servers only their models are left, and who chooses among them, by which `shares`; of groups all but
    what becomes of a send.
    """
    training = with_availability(scenario, availability).training
    return scenario.model_copy(
        update={
            "name": "learning",
            "warm_up_s": 0.0,
            "training": training,
            "fleet": tuple(group.model_copy(update=_unseen(group)) for group in scenario.fleet),
            "server": scenario.server and Server(model=scenario.server.model, service=NO_SERVICE),
            "servers": scenario.servers
            and tuple(
                NamedServer(
                    server=one.server, models=one.models, switch=_switch(one.switch), service=NO_SERVICE
                )
                for one in scenario.servers
            ),
            "outages": (),
            "network": (),
            "engine": Engine(),
            "detail": "full",
        }
    )


def _unseen(group: Group) -> dict[str, Any]:
    """The keys of a group that no learner looks at, at their defaults: who falls back to nothing learns as
    who falls back to itself."""
    unseen = {name: Group.model_fields[name].default for name in UNSEEN_OF_GROUPS}
    return unseen | {"fallback": "prototype" if group.fallback == "prototype" else "client"}


def _switch(switch: SwitchRule | None) -> BacklogSwitch | None:
    """Any that expects the same shares: when it switches is not learned from."""
    if switch is None:
        return None
    return BacklogSwitch(kind="backlog", above=1, below=0, shares=switch.shares)
