"""A scenario with its models placed elsewhere, and what that serves: runs in memory on one learning.
Between the command `placement` and the search (`analysis.statistics.placement`)."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyarrow import compute

from analysis.reports.placement_report import Found, by_server, in_words, table_of
from analysis.statistics.placement import NOTHING, Placement, Room, Seen, every, greedy, number_of_all
from commands.learnings import learned_for
from commands.progress import Reporter
from sim.engine.run import Run
from sim.errors import BadInput
from sim.messages import Learned
from sim.registry.outage_targets import ServersTarget
from sim.registry.prices import AlwaysLocal
from sim.registry.scores import SCORES
from sim.results.columns import OUTCOMES
from sim.scenario import Group, Scenario, write
from sim.scenario.options import model_of, written
from sim.scenario.schema.fleet import Option, Policy
from sim.scenario.schema.server import NamedServer, Outage
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.world import World

MOST_ENUMERATED = 4_096  # four models on three servers, whatever fits
REMOTE = OUTCOMES.index("remote")


class Played(NamedTuple):
    """Per second: sent by each group; served in time to each group by each model; reached each server."""

    sent_hz: NDArray[np.float64]
    served_hz: NDArray[np.float64]
    reached_hz: NDArray[np.float64]


class Placing:
    """The placements of one scenario. Raises BadInput where nothing is to place.

    A group wants the models of its options as they are written; placed, it has an option for each server that
    has one of them.
    """

    def __init__(self, plan: Scenario) -> None:
        if plan.servers is None or len(plan.server_models) == 1 == len(plan.servers):
            raise BadInput(f"placement: {plan.name} has one server with one model: nothing is to place")
        if plan.learns_in_run:
            raise BadInput(
                f"placement: {plan.name} trains during the run: set training.online, federation to null"
            )
        if any(model.nested_in for model in plan.server_models.values()):
            raise BadInput(f"placement: {plan.name} has a model with nested_in, which stays with its whole")
        if any(model.of_group for model in plan.server_models.values()):
            raise BadInput(f"placement: {plan.name} has peers_of or of_group: a client's model stays with it")
        if any(plan.switch_of(place) for place in range(len(plan.servers))):
            raise BadInput(f"placement: {plan.name} has a server with a switch, which chooses models itself")
        if any(one.load_s is not None for one in plan.servers):
            raise BadInput(f"placement: {plan.name} has a server with load_s, which holds any model in turn")
        if plan.horizon_s <= plan.warm_up_s:
            raise BadInput(f"placement: {plan.name} has no time to look at: horizon_s is {plan.horizon_s:g}")
        self.plan, self.models = plan, list(plan.server_models)
        self.servers: tuple[NamedServer, ...] = plan.servers
        self.wants = [
            list(dict.fromkeys(model_of(plan, option) for option in written(plan, group)))
            for group in plan.fleet
        ]
        for group in plan.fleet:
            pairs = [(one.server, model_of(plan, one)) for one in written(plan, group)]
            if len(set(pairs)) < len(pairs):
                raise BadInput(
                    f"placement: {group.group} has several ways to one model of one server: keep one of them"
                )

    @cached_property
    def room(self) -> Room:
        """What fits, by memory; a server with batches has one model."""
        asked = {model for wanted in self.wants for model in wanted}
        return Room(
            tuple(inf if one.memory_bytes is None else one.memory_bytes for one in self.servers),
            tuple(len(self.models) if one.max_batch == 1 else 1 for one in self.servers),
            tuple(model.memory_bytes for model in self.plan.server_models.values()),
            frozenset((server, model) for server in range(len(self.servers)) for model in asked),
        )

    @cached_property
    def learned(self) -> Learned:
        """Of the scenario as it is written; a copy of a model has its answers and its score."""
        return learned_for(self.plan)

    @cached_property
    def begin(self) -> Seen:
        """Before anything is placed."""
        nothing = (0.0,) * len(self.models)
        return Seen(NOTHING, 0.0, nothing, self._by_model(self.wanted_hz), (0.0,) * len(self.servers))

    @cached_property
    def as_written(self) -> Placement:
        return frozenset(
            (server, self.models.index(name))
            for server in range(len(self.servers))
            for name in self.plan.models_of(server)
        )

    def see(self, placement: Placement) -> Seen:
        """What a placement serves."""
        played = self._play(placement)
        unserved = np.maximum(self.wanted_hz - played.served_hz.sum(axis=1), 0.0)
        by_model = tuple(played.served_hz.sum(axis=0).tolist())
        reached = tuple(played.reached_hz.tolist())
        return Seen(placement, float(played.served_hz.sum()), by_model, self._by_model(unserved), reached)

    def placed(self, placement: Placement) -> Scenario:
        """The scenario with such a placement: a server or a model without the other is left out, and a group
        that nobody could answer asks nobody."""
        part = self._placed(placement)
        servers = tuple(one for one in part.servers or () if one.models)
        names = {one.server for one in servers}
        kept = {name for one in servers for name in one.models or ()}
        outages = tuple(one for one in (_among(each, names) for each in part.outages) if one is not None)
        models = {name: one for name, one in self.plan.server_models.items() if name in kept}
        return part.model_copy(update={"servers": servers, "outages": outages, "models": models})

    def _placed(self, placement: Placement) -> Scenario:
        """The same with every server and model, so that all numbers of the engine stay as they are."""
        plan = self.plan
        has = [
            tuple(name for model, name in enumerate(self.models) if (server, model) in placement)
            for server in range(len(self.servers))
        ]
        servers = tuple(
            one.model_copy(update={"models": names}) for one, names in zip(self.servers, has, strict=True)
        )
        fleet = tuple(
            self._group(group, wanted, placement)
            for group, wanted in zip(plan.fleet, self.wants, strict=True)
        )
        return plan.model_copy(update={"servers": servers, "fleet": fleet})

    def _group(self, group: Group, wanted: list[int], placement: Placement) -> Group:
        names, known = [one.server for one in self.servers], written(self.plan, group)
        options = [
            _option(names[server], self.models[model], *self._like(known, server, model))
            for server in range(len(names))
            for model in wanted
            if (server, model) in placement
        ]
        changed: dict[str, object] = {"homes": None}
        if not options:
            server, model = min(placement)
            options = [_option(names[server], self.models[model], known[0], known[0])]
            changed["policy"] = Policy(score="random", price=AlwaysLocal(kind="always_local"))
        if len(options) == 1:
            changed |= {"choose": "best", "hedge": None}
            changed["retry"] = group.retry and group.retry.model_copy(update={"next": "same"})
        elif len(known) == 1 or group.homes is not None:
            changed["choose"] = "least_backlog"
        return group.model_copy(update=changed | {"options": tuple(options)})

    def _like(self, known: tuple[Option, ...], server: int, model: int) -> tuple[Option, Option]:
        """The written options whose way, and whose payload and work, a placed one has: the way of the one to
        this server, else of the one for this model; the rest of the one for this model, here if there is one.
        """
        here = [one for one in known if one.server == self.servers[server].server]
        of_model = [one for one in known if model_of(self.plan, one) == model]
        return (here or of_model)[0], ([one for one in here if one in of_model] or of_model)[0]

    @cached_property
    def wanted_hz(self) -> NDArray[np.float64]:
        """What each group sends where every model is everywhere."""
        return self._play(self.room.may).sent_hz

    def _by_model(self, of_groups: NDArray[np.float64]) -> tuple[float, ...]:
        return tuple(
            float(sum(n for n, wanted in zip(of_groups, self.wants, strict=True) if model in wanted))
            for model in range(len(self.models))
        )

    def _play(self, placement: Placement) -> Played:
        plan = self._placed(placement)
        world = World(plan)
        options = [option for of_group in world.options for option in of_group]
        first = np.cumsum([0, *map(len, world.options)])
        server, model = (np.array([getattr(one, name) for one in options]) for name in ("server", "model"))
        sent, reached = np.zeros(len(plan.fleet)), np.zeros(len(self.servers))
        served = np.zeros((len(plan.fleet), len(self.models)))
        run = Run(world, self._learned_for(plan), ScenarioArrivals(world))
        while not run.is_over:
            table = run.advance().requests
            table = table.filter(compute.greater_equal(table["arrived_at_s"], plan.warm_up_s))
            group = world.population.group[table["client_id"].to_numpy()]
            place = first[group]
            if "option" in table.column_names:
                place = place + np.maximum(table["option"].to_numpy(), 0)
            is_served = table["outcome"].combine_chunks().indices.to_numpy() == REMOTE
            came = ~np.isnan(table["reached_at_s"].to_numpy())
            np.add.at(sent, group[table["deferred"].to_numpy()], 1)
            np.add.at(served, (group[is_served], model[place[is_served]]), 1)
            np.add.at(reached, server[place[came]], 1)
        span_s = plan.horizon_s - plan.warm_up_s
        return Played(sent / span_s, served / span_s, reached / span_s)

    def _learned_for(self, plan: Scenario) -> Learned:
        """With a score for each option of a group where it has one of each."""
        groups = []
        for was, now, table in zip(self.plan.fleet, plan.fleet, self.learned.tables.groups, strict=True):
            known = [model_of(self.plan, option) for option in written(self.plan, was)]
            places = [
                known.index(model_of(plan, one)) if model_of(plan, one) in known else 0
                for one in written(plan, now)
            ]
            score = table.score
            if score is not None and SCORES[was.policy.score].is_per_option:
                score = (score if score.ndim == 3 else score[:, None])[:, places]
                score = score[:, 0] if len(places) == 1 else score
            groups.append(replace(table, score=None if now.policy.score == "random" else score))
        return replace(self.learned, tables=replace(self.learned.tables, groups=tuple(groups)))


def _option(server: str, model: str, way: Option, asked: Option) -> Option:
    """With the way of one option, and what another one asks of the device and the model."""
    named = {"option": f"{server}-{model}"[:64], "server": server, "model": model}
    own = {key: getattr(asked, key) for key in ("payload_bytes", "device_s", "device_j", "work")}
    return way.model_copy(update=named | own)


def _among(outage: Outage, names: set[str]) -> Outage | None:
    """An outage of those servers alone; None: of none."""
    target = outage.target
    if not isinstance(target, ServersTarget):
        return outage
    left = tuple(name for name in target.names if name in names)
    return outage.model_copy(update={"target": target.model_copy(update={"names": left})}) if left else None


def searched(placing: Placing, beam: int, exhaustive: bool, progress: Reporter) -> Found:
    """Searches, and looks at all that fits if asked for. Raises BadInput where that is too much, or nothing
    fits anywhere."""
    room, servers = placing.room, [one.server for one in placing.servers]
    number = number_of_all(room)
    if exhaustive and number > MOST_ENUMERATED:
        raise BadInput(f"--exhaustive: {number:,} placements fit: at most {MOST_ENUMERATED:,} are looked at")
    if number == 1:
        raise BadInput(f"placement: {placing.plan.name}: no model fits the memory_bytes of any server")
    known: dict[Placement, Seen] = {}

    def see(placement: Placement) -> Seen:
        if placement not in known:
            known[placement] = placing.see(placement)
            progress.report("placements", len(known), number if exhaustive else len(known) + 1)
        return known[placement]

    found = greedy(room, placing.begin, see, beam)
    met = [("search", seen) for seen in found]
    if room.holds(placing.as_written):
        met += [("written", see(placing.as_written))]
    best, said = found[0], ""
    if exhaustive:
        all_seen = [see(one) for one in every(room)]
        most = min(all_seen, key=lambda seen: seen.rank)
        met += [("all", seen) for seen in all_seen]
        gap = 1 - best.goodput_hz / most.goodput_hz if most.goodput_hz else 0.0
        said = (
            f"; the best of all {len(all_seen):,} serves {most.goodput_hz:.4g}, this is {gap:.2%} short of it"
        )
    wanted = float(placing.wanted_hz.sum())
    where = in_words(best.placed, servers, placing.models)
    answer = f"best: {where}: {best.goodput_hz:.4g} of {wanted:.4g} requests a second in time{said}"
    first = {seen.placed: (how, seen) for how, seen in reversed(met)}
    return Found(
        by_server(best.placed, servers, placing.models),
        table_of(list(first.values()), servers, placing.models),
        answer,
        write(placing.placed(best.placed)),
    )
