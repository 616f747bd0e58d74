"""Which columns of a table of answers a scenario asks: its variants, its server, its scores.
Without torch, so that a plan can be made of it; `agents.models.given` makes models of what is found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.scenario import Group, Scenario
from sim.scenario.files.answers import AnswerTable, GivenModel


def client_of(table: AnswerTable, group: Group, number: int) -> GivenModel:
    """A variant of a group."""
    return table.clients[_name(table, group, number)]


def server_of(table: AnswerTable, scenario: Scenario) -> GivenModel:
    """The server that a scenario asks: the one named, else the only one."""
    name = scenario.first_model.answers
    return table.servers[name] if name is not None else next(iter(table.servers.values()))


def own_c_e(table: AnswerTable, scenario: Scenario) -> NDArray[np.float64] | None:
    """What a charged send of each sample costs, float64 (n,); None where all cost alike."""
    cost = server_of(table, scenario).cost
    return None if cost is None else scenario.data.cost_scale * cost


def score_of(table: AnswerTable, group: Group, number: int) -> NDArray[np.float32]:
    """The scores of a variant in the group's column of the table, float32 (n,)."""
    column = group.policy.column
    name = next(iter(table.scores))[0] if column is None else column
    own = (name, _name(table, group, number))
    return table.scores[own if own in table.scores else (name, "")]


def _name(table: AnswerTable, group: Group, number: int) -> str:
    names: Sequence[str] = group.model.answers or list(table.clients)
    return names[number]
