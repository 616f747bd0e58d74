"""A scenario's ways of asking as `analysis.statistics.effectiveness` plans them, and the scenario so planned.
Between the command `plan` and what `sim.scenario.asking` knows of each way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.effectiveness import Bound, Ways, bound, rounded
from sim.errors import BadInput
from sim.scenario import Scenario
from sim.scenario.asking import Way, ways_of
from sim.scenario.rules.estimates import most_sent, served_hz
from sim.scenario.rules.rates import mean_rate_hz

Floats = NDArray[np.float64]
LOCAL = "local"  # what those of a group are called that ask nobody


class Prices(NamedTuple):
    """What a second of service costs, a megabyte on its way, and a second that a replica stands there."""

    service: float
    megabyte: float
    replica: float


@dataclass(frozen=True)
class Plan:
    """ways: those in time, with the place of their group; clients: how many ask so, whole numbers (n,)."""

    scenario: Scenario
    ways: list[tuple[int, Way]]
    of: Ways
    bound: Bound
    clients: Floats

    @property
    def effectiveness(self) -> float:
        return self.of.effectiveness(self.clients)


def plan_of(scenario: Scenario, prices: Prices, most_load: float) -> Plan:
    """The plan of the largest gain per cost: a request that is answered in time gains 1.

    No server and no shared link is loaded beyond `most_load`; a way takes, beside what it would alone, the
    wait at a server that is so loaded, as M/M/1 has it. Raises BadInput where no way is in time.
    """
    found, capacity = [], list(map(served_hz, scenario.stations))
    for place, group in enumerate(scenario.fleet):
        for way in ways_of(scenario, group):
            waits_s = way.full_work / capacity[way.server] * most_load / (1.0 - most_load)
            if group.deadline_s is None or way.answer_s + waits_s <= group.deadline_s:
                found.append((place, way))
    if not found:
        raise BadInput("no option of any group answers within its deadline_s: there is nothing to plan")
    hz = np.array([mean_rate_hz(scenario, place) * most_sent(scenario.fleet[place]) for place, _ in found])
    service_s = np.array([way.service_s for _, way in found])
    bits = np.array([way.bits for _, way in found])
    links = [one for one in scenario.network if one.bandwidth_bps is not None]
    at_servers = [
        hz * np.array([way.full_work / served if way.server == place else 0.0 for _, way in found])
        for place, served in enumerate(capacity)
    ]
    on_links = [hz * bits * np.array([one.link in way.over for _, way in found]) for one in links]
    ways = Ways(
        gain=hz,
        cost=hz * (prices.service * service_s + prices.megabyte * bits / 8e6),
        kind=np.array([place for place, _ in found]),
        clients=np.array([float(group.clients) for group in scenario.fleet]),
        uses=np.stack([*at_servers, *on_links]),
        limits=most_load
        * np.array([*(1.0 for _ in capacity), *(float(one.bandwidth_bps or 0) for one in links)]),
        standing=prices.replica * sum(one.replicas for one in scenario.stations),
    )
    best = bound(ways)
    return Plan(scenario, found, ways, best, rounded(ways, best.plan))


def with_plan(plan: Plan) -> dict[str, Any]:
    """The scenario in which each group is divided by what its clients ask, as plain data.

    Raises BadInput where a part would have no name of its own, or parts could not have what their group has.
    """
    for name, model in plan.scenario.server_models.items():
        if model.of_group is not None:
            raise BadInput(
                f"models.{name}.of_group: {model.of_group} would be divided, which is not handled yet"
            )
    document = plan.scenario.model_dump()
    parts: dict[str, list[dict[str, Any]]] = {}
    for place, group in enumerate(document["fleet"]):
        left = group["clients"]
        made = parts[group["group"]] = []
        for (of, way), clients in zip(plan.ways, plan.clients.astype(int).tolist(), strict=True):
            if of == place and clients:
                made.append(_part(group, way, clients))
                left -= clients
        if left:
            local = group["policy"] | {"price": {"kind": "always_local"}}
            named = {"group": f"{group['group']}-{LOCAL}", "clients": left}
            made.append(group | named | {"policy": local, "homes": None})
        _require_own(group, len(made))
    document["fleet"] = tuple(part for made in parts.values() for part in made)
    names = [part["group"] for part in document["fleet"]]
    if len(set(names)) < len(names) or max(map(len, names)) > 64:
        raise BadInput(
            "parts of groups would share a name, or have one beyond 64 letters: rename groups or options"
        )
    return {key: _renamed(value, parts) for key, value in document.items()}


def _require_own(group: dict[str, Any], parts: int) -> None:
    """Raises BadInput where parts of a group would each have what all of it shares."""
    for part, key in (("budget", "shared_by"), ("retry", "allowance_by")):
        if parts > 1 and group[part] and group[part].get(key) == "group":
            rule = f"would be divided in {parts} parts, each with all of it: use client or fleet"
            raise BadInput(f"fleet.{group['group']}.{part}.{key}: the group {rule}")


def _part(group: dict[str, Any], way: Way, clients: int) -> dict[str, Any]:
    """Those of a group that ask one option."""
    retry = group["retry"] and group["retry"] | {"next": "same"}
    only = {"options": (way.option.model_dump(),), "choose": "best", "hedge": None, "retry": retry}
    only["homes"] = None
    return group | {"group": f"{group['group']}-{way.option.option}", "clients": clients} | only


def _renamed(value: Any, parts: dict[str, list[dict[str, Any]]]) -> Any:
    """Groups that something names, as links that fail do, by the names of their parts."""
    if isinstance(value, dict):
        named = value.get("groups")
        found = {key: _renamed(one, parts) for key, one in value.items()}
        if isinstance(named, tuple):
            found["groups"] = tuple(part["group"] for name in named for part in parts[name])
        return found
    return tuple(_renamed(one, parts) for one in value) if isinstance(value, tuple) else value
