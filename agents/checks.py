"""What a scenario asks of the learners and its schema cannot judge, found out without training anything.
Used by the command `check` and before every fleet is opened."""

from __future__ import annotations

from operator import attrgetter

from agents import families, rejectors
from agents.choices import choose
from agents.plan import Plan, has_rejector, make_plan
from agents.scores import SCORES
from sim.errors import BadInput
from sim.scenario import Group, Scenario
from sim.scenario.wording import show

MOST_PERSONAL = 10_000  # clients of a group that may have a rejector each

AT_MOST = {  # beyond, a step leaps over every minimum, or a loss loses its small terms to rounding
    "training.pretrain.server_lr": 1.0,
    "training.pretrain.rejector_lr": 1.0,
    "costs.c_e": 1e6,
    "costs.c_1": 1e6,
}
WORKS_TODAY: dict[str, object] = {  # of what the scenario has words for and the learners would ignore
    "training.availability": None,
    "training.shared_batch": False,
    "training.feedback": "full",
    "training.pretrain.sync_every": 1,
    "training.online": None,
}


def validate(scenario: Scenario) -> None:
    """Returns if the learners can do what the scenario says. Raises BadInput, one line, if not."""
    checked_plan(scenario)


def checked_plan(scenario: Scenario) -> Plan:
    """The plan of a scenario that passes every check. Raises BadInput, one line, if one fails."""
    for path, highest in AT_MOST.items():
        if not (value := attrgetter(path)(scenario)) <= highest:
            raise BadInput(f"{path}: {value:g}, it must be at most {highest:g}")
    for path, works in WORKS_TODAY.items():
        if (value := attrgetter(path)(scenario)) != works:
            received = value.model_dump() if hasattr(value, "model_dump") else value
            raise BadInput(f"{path}: {show(received)}, the learners can do only {show(works)} so far")
    choose(families.FAMILIES, scenario.server.model.family, "server.model.family", "model family")
    for group in scenario.fleet:
        _check_group(group)
    return make_plan(scenario)


def _check_group(group: Group) -> None:
    path = f"fleet.{group.group}"
    choose(families.FAMILIES, group.model.family, f"{path}.model.family", "model family")
    choose(rejectors.FAMILIES, group.rejector.family, f"{path}.rejector.family", "rejector family")
    choose(SCORES, group.policy.score, f"{path}.policy.score", "score")
    if has_rejector(group) and group.rejector.per == "client" and group.clients > MOST_PERSONAL:
        raise BadInput(
            f"{path}.rejector.per: 'client' with {group.clients} clients, at most {MOST_PERSONAL} can have "
            "a rejector each; use 'variant'"
        )
