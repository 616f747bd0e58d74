"""What happened to the system: outages, changes of capacity, rounds of training, models in force, copies.
The table `events` of a run folder; all of it but gaps follows from the scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from sim.scenario import Scenario
from sim.world.federation import FederationRound
from sim.world.outages.capacity import Interval
from sim.world.release_schedule import Schedule
from sim.world.trained import trained
from sim.world.versions import Versions
from sim.world.world import World

Event = tuple[float, str, str, float]  # at_s, kind, target, value
NEAR = "neighbours"


def events(
    world: World,
    steps: list[list[tuple[float, int]]],
    plan: Schedule,
    handed: Mapping[str, list[Any]] | None = None,
) -> dict[str, list[Any]]:
    """The columns of `events`, by time. steps: of each server (instant, usable replicas); plan: when the
    server learned; handed: rows of the table `hand_over`; all as the run had them."""
    found = [*_of_capacity(world.scenario, world.intervals, steps), *_of_rounds(plan, _named(world.scenario))]
    found += _of_clients(world, plan)
    found += _of_merges(world)
    if handed and world.federated is not None:
        due_s = {one.number: one.due_at_s for one in world.federated.rounds}
        rows = zip(*(handed[name] for name in ("round", "group", "samples")), strict=True)
        found += [(due_s[number], "hand_over", group, float(many)) for number, group, many in rows]
    found.sort(key=lambda event: event[:3])
    return dict(zip(("at_s", "kind", "target", "value"), map(list, zip(*found, strict=True)), strict=True))


def _of_capacity(
    scenario: Scenario, periods: list[Interval], steps: list[list[tuple[float, int]]]
) -> list[Event]:
    found: list[Event] = []
    for period in periods:
        if period.client >= 0:
            continue
        kind, value = ("outage", np.nan) if period.effect == "down" else ("slowdown", period.factor)
        found.append((period.from_s, f"{kind}_start", period.target, value))
        if period.until_s < scenario.horizon_s:
            found.append((period.until_s, f"{kind}_end", period.target, value))
    for name, of_server in zip(scenario.station_names, steps, strict=True):
        found += [(at, "usable_replicas", name, float(replicas)) for at, replicas in of_server]
    return found


def _named(scenario: Scenario) -> tuple[str, ...]:
    """What events call the servers' models: `model` where one trains, or none."""
    several = len(scenario.server_models) > 1 and trained(scenario)
    return tuple(f"model:{name}" for name in scenario.server_models) if several else ("model",)


def _of_rounds(plan: Schedule, models: tuple[str, ...]) -> list[Event]:
    """Rounds of each model by their number, 1, 2, …, whatever became of them; versions by theirs. Of a
    server whose clients learn together version 0 alone."""
    found: list[Event] = []
    for model, name in enumerate(models):
        found.append((0.0, "model_in_force", name, 0.0))
        for number, one in enumerate((one for one in plan.rounds if one.model == model), start=1):
            if one.fate == "skipped":
                found.append((one.due_at_s, "round_skipped", name, float(number)))
                continue
            found.append((one.due_at_s, "round_start", name, float(number)))
            if one.fate == "lost":
                found.append((one.ends_at_s, "round_lost", name, float(number)))
        made = plan.in_force_at_s[plan.made[:, model]]
        for version, at in enumerate(made.tolist(), start=1):
            found.append((at, "model_in_force", name, float(version)))
    begun = plan.starts_at_s[: len(plan.gaps_s)].tolist()
    return found + [(at, "round_gap", models[0], gap_s) for at, gap_s in zip(begun, plan.gaps_s, strict=True)]


def _of_merges(world: World) -> list[Event]:
    """Merged versions by their number, rounds without one by theirs, and the first in which heads that were
    shared are personal."""
    held = world.federated.rounds if world.federated is not None else ()
    federation = world.scenario.federation
    what = str(federation.learns) if federation is not None else ""
    found = [(one.merges_at_s, f"{what}_merged", what, float(one.merged)) for one in held if one.merged]
    lost = [one for one in held if one.fate == "lost"]
    own = [one for one in held if one.fate == "own"][:1] if what == "heads" else []
    found += [(one.due_at_s, "heads_personal", what, float(one.number)) for one in own if one.number > 1]
    if world.scenario.federation is not None and world.scenario.federation.neighbours is not None:
        found += _of_neighbours(held, world.scenario.federation.has_one_uplink)
    return found + [(one.merges_at_s, "merge_lost", what, float(one.number)) for one in lost]


def _of_neighbours(held: Sequence[FederationRound], shares: bool) -> list[Event]:
    """Rounds of clients that have neighbours: due, or skipped where nobody takes part; where they share an
    uplink, which clusters of those that did not drop out uploaded nothing in time, by their first client."""
    found: list[Event] = []
    for one in held:
        found.append((one.due_at_s, "round_due" if len(one.trains) else "round_skipped", NEAR, one.number))
        if one.fate in {"merged", "lost"} and shares:
            silent = np.setdiff1d(one.near[~np.isin(one.trains, one.dropped)], one.clusters)
            found += [(one.merges_at_s, "cluster_left_out", NEAR, float(first)) for first in silent.tolist()]
    return found


def _of_clients(world: World, plan: Schedule) -> list[Event]:
    """Per group and version the first and the last copy to arrive and rejector to come into force."""
    found: list[Event] = []
    scenario = world.scenario
    bounds = pairwise([*world.population.first, scenario.clients])
    for group, (first, end) in zip(scenario.fleet, bounds, strict=True):
        for what, held in (("copy", plan.copies), ("rejector", plan.rejectors)):
            for version, (earliest, latest) in _spans(held, first, end).items():
                found.append((earliest, f"first_{what}", group.group, float(version)))
                found.append((latest, f"last_{what}", group.group, float(version)))
    return found


def _spans(held: Versions, first: int, end: int) -> dict[int, tuple[float, float]]:
    """When clients first to end - 1 first and last got each version."""
    mine = slice(held.first[first], held.first[end])
    version, at_s = held.version[mine], held.at_s[mine]
    order = np.lexsort((at_s, version))
    version, at_s = version[order], at_s[order]
    later = version > 0
    number, begin, count = np.unique(version[later], return_index=True, return_counts=True)
    at_s = at_s[later]
    return {
        int(v): (float(at_s[b]), float(at_s[b + n - 1])) for v, b, n in zip(number, begin, count, strict=True)
    }
