"""What a scenario asks of the learners and its schema cannot judge, found out without training anything.
Used by the command `check` and before every fleet is opened."""

from __future__ import annotations

from agents import families, rejectors
from agents.choices import choose
from agents.plan import Plan, has_rejector, make_plan
from agents.scores import SCORES
from sim.errors import BadInput
from sim.scenario import Group, Scenario

MOST_PERSONAL = 10_000  # clients of a group that may have a rejector each
HIGHEST_RATE = 1e30  # of learning; far beyond use, and still a float32 after Adam's bias correction


def validate(scenario: Scenario) -> None:
    """Returns if the learners can do what the scenario says. Raises BadInput, one line, if not."""
    checked_plan(scenario)


def checked_plan(scenario: Scenario) -> Plan:
    """The plan of a scenario that passes every check. Raises BadInput, one line, if one fails."""
    for name in ("server_lr", "rejector_lr"):
        rate = getattr(scenario.training.pretrain, name)
        if rate > HIGHEST_RATE:
            raise BadInput(f"training.pretrain.{name}: {rate:g}, it must be at most {HIGHEST_RATE:g}")
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
