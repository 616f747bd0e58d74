"""Which columns of a table of answers a scenario asks: its variants, its server, its scores.
Without torch, so that a plan can be made of it; `agents.models.given` makes models of what is found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.scenario import Group, Scenario
from sim.scenario.files.answers import AnswerTable, GivenModel
from sim.scenario.schema.server import ServerModel


def client_of(table: AnswerTable, group: Group, number: int) -> GivenModel:
    """A variant of a group."""
    return table.clients[_name(table, group, number)]


def server_of(table: AnswerTable, model: ServerModel) -> GivenModel:
    """What a model of the servers answers: the one named, else the only one."""
    return table.servers[model.answers] if model.answers is not None else next(iter(table.servers.values()))


def servers_of(table: AnswerTable, scenario: Scenario) -> list[GivenModel]:
    """What each of the servers' models answers, in order."""
    return [server_of(table, model) for model in scenario.server_models.values()]


def own_c_e(table: AnswerTable, scenario: Scenario) -> NDArray[np.float64] | None:
    """What a charged send of each sample costs, float64 (n,), or of several models (models, n); None where
    all cost alike. A model without costs costs c_e."""
    scale, c_e = scenario.data.cost_scale, scenario.costs.c_e
    costs = [model.cost for model in servers_of(table, scenario)]
    return over_models([None if cost is None else scale * cost for cost in costs], c_e, table.size)


def own_work(table: AnswerTable, scenario: Scenario) -> NDArray[np.float64] | None:
    """What service times of samples are multiplied by, as `own_c_e`; 1 where a model says nothing."""
    return over_models([model.work for model in servers_of(table, scenario)], 1.0, table.size)


def over_models(
    known: Sequence[NDArray[np.float64] | None], else_: float, size: int
) -> NDArray[np.float64] | None:
    """Numbers of each model, (n,) of one and (models, n) of several; None where none has any."""
    if all(one is None for one in known):
        return None
    found = np.stack([np.full(size, else_) if one is None else one for one in known])
    return found[0] if len(found) == 1 else found


def score_of(table: AnswerTable, group: Group, number: int) -> NDArray[np.float32]:
    """The scores of a variant in the group's column of the table, float32 (n,)."""
    column = group.policy.column
    name = next(iter(table.scores))[0] if column is None else column
    own = (name, _name(table, group, number))
    return table.scores[own if own in table.scores else (name, "")]


def _name(table: AnswerTable, group: Group, number: int) -> str:
    names: Sequence[str] = group.model.answers or list(table.clients)
    return names[number]
