"""What the models that users bring are called, and where their files lie.
Without torch: a plan knows by these names which models are not trained."""

from __future__ import annotations

from sim.scenario import Group, Scenario

SERVER = "server"


def name_of(group: Group) -> str:
    """The model of a group, which may itself be called server."""
    return f"fleet.{group.group}"


def files_of(scenario: Scenario) -> dict[str, str]:
    """The files of the models that are brought, by name."""
    found = {SERVER: scenario.server.model.file}
    found |= {name_of(group): group.model.file for group in scenario.fleet}
    return {name: file for name, file in found.items() if file is not None}
