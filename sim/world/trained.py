"""Which of the servers' models train during the run, on which servers, and what became of their rounds.
Pure functions of the scenario and of the rounds of each server alone (`sim.world.release_schedule`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sim.scenario import Scenario
from sim.scenario.options import model_of, written
from sim.world.outages.capacity import Capacity, most_replicas

BITS = 32  # of a row that are told apart at once
FATES = ("made", "unfinished", "lost", "skipped")  # of several servers' the first that one of them met


@dataclass(frozen=True)
class Round:
    """One round of training that was due, and its fate.

    "made": a new version is in force from `ends_at_s`. "lost": no replica was usable any more at
    `ends_at_s`. "skipped": none was when it was due. "unfinished": it would end at or after the horizon.
    model: whose round it is, by its place among the servers' models.
    """

    due_at_s: float
    ends_at_s: float
    fate: str
    model: int = 0


def trained(scenario: Scenario) -> tuple[int, ...]:
    """The places of the models that train during the run, ascending; none without `training.online`."""
    online = scenario.training.online
    if online is None:
        return ()
    names = list(scenario.server_models)
    return tuple(place for place, name in enumerate(names) if online.models is None or name in online.models)


def hosts(scenario: Scenario) -> NDArray[np.bool_]:
    """Which servers have which models, bool (models, servers)."""
    of_servers = [scenario.models_of(place) for place in range(len(scenario.stations))]
    return np.array([[name in models for models in of_servers] for name in scenario.server_models])


def asked(scenario: Scenario) -> NDArray[np.bool_]:
    """Which models the clients of each group may be answered by, bool (groups, models)."""
    names, found = list(scenario.server_models), []
    for group in scenario.fleet:
        options = written(scenario, group)
        models = {model_of(scenario, one) for one in options}
        for one in options:
            place = scenario.station_names.index(one.server)
            if scenario.switch_of(place) is not None:
                models |= {names.index(name) for name in scenario.models_of(place)}
        found.append([model in models for model in range(len(names))])
    return np.array(found)


def rounds_of_models(scenario: Scenario, of_servers: Sequence[tuple[Round, ...]]) -> tuple[Round, ...]:
    """The rounds of all models by instant, then by model. A round of a model is made if it was made on one of
    the servers that have it, and lost as the last of them is lost."""
    having, found = hosts(scenario), list[Round]()
    for model in trained(scenario):
        mine = [of_servers[place] for place in np.flatnonzero(having[model]).tolist()]
        for parts in zip(*mine, strict=True):
            whole = min(parts, key=lambda one: (FATES.index(one.fate), -one.ends_at_s))
            found.append(replace(whole, model=model))
    return tuple(sorted(found, key=lambda one: one.due_at_s))  # models stay in order


def usable_of(scenario: Scenario, drawn: Capacity, server: int = 0) -> Capacity:
    """What outages leave of all the replicas there may ever be: how far a server scales itself depends on the
    run, which a schedule does not wait for."""
    return replace(drawn, usable=np.maximum(most_replicas(scenario.stations[server]) - drawn.taken, 0))


def of_each_model(scenario: Scenario, drawn: Sequence[Capacity]) -> tuple[Capacity, ...]:
    """Per model the replicas that outages leave of the servers that have it, together. drawn: per server."""
    each = [usable_of(scenario, one, server) for server, one in enumerate(drawn)]
    return tuple(
        _over_time([each[server] for server in np.flatnonzero(having).tolist()], np.sum)
        for having in hosts(scenario)
    )


def of_all(models: Sequence[Capacity]) -> Capacity:
    """The fewest replicas of any of these models."""
    return _over_time(models, np.min)


def _over_time(parts: Sequence[Capacity], of: np.ufunc | object) -> Capacity:
    if len(parts) == 1:
        return parts[0]
    if not parts:  # a model that no server has
        return Capacity(np.zeros(1), *(np.zeros(1, dtype=np.int64) for _ in range(2)))
    at_s = np.unique(np.concatenate([one.at_s for one in parts]))
    usable = of(np.stack([one.usable_at(at_s) for one in parts]), axis=0)  # type: ignore[operator]
    return Capacity(at_s, usable, np.zeros_like(usable))


def kinds_of(rows: NDArray[np.bool_]) -> NDArray[np.int64]:
    """A number for each of the rows (n, k), the same for equal ones and, in their order, rising; (n,)."""
    kind = np.zeros(len(rows), dtype=np.int64)
    for first in range(0, rows.shape[1], BITS):
        if first:  # of what was told so far as few numbers as there are
            kind = np.unique(kind, return_inverse=True)[1]
        for column in rows.T[first : first + BITS]:
            kind = 2 * kind + column
    return kind
