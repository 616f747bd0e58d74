"""Rules about outages: when they may be written, what they may hit, and that nobody waits for ever.
Part of the table in `checks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import PurePath
from typing import Any

from sim.registry.disciplines import DISCIPLINES
from sim.registry.outage_targets import LinksTarget, ReplicasTarget, ServersTarget, ServerTarget
from sim.registry.outages import Intervals, TraceOutage
from sim.registry.prices import AlwaysLocal
from sim.scenario.files.rows import BadFile
from sim.scenario.rules.servers import stations
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import Group
from sim.scenario.schema.server import Outage, Station
from sim.scenario.text.draft import Path
from sim.scenario.text.wording import nearest, show
from sim.world.outages.capacity import most_replicas

Breach = tuple[Path, Any, str]
MOST_PERIODS = 1_000_000  # each costs a millisecond, most of it in the report


def outages_hit_what_stands_near(scenario: Scenario) -> Iterator[Breach]:
    """Of a server what is its own; beside the servers what several share."""
    names = scenario.station_names
    for written in scenario.all_outages:
        target, path = written.outage.target, (*written.path, "target")
        if written.station is None and isinstance(target, ServerTarget | ReplicasTarget):
            rule = "stands beside the servers: use kind: servers with names, or write it under its server"
            yield (*path, "kind"), target.kind, rule
        if written.station is not None and isinstance(target, ServersTarget):
            rule = "stands under one server: write it under the outages of the scenario"
            yield (*path, "kind"), target.kind, rule
        if written.station is not None and len(names) > 1 and isinstance(target, LinksTarget):
            rule = "hits the ways to all servers: write it under the outages of the scenario"
            yield (*path, "kind"), target.kind, rule
        for position, name in enumerate(getattr(target, "names", ())):
            if name in getattr(target, "names", ())[:position]:
                yield (*path, "names", position), name, "is named twice"
            if name not in names:
                yield (*path, "names", position), name, f"there is no such server: {nearest(name, names)}"


def intervals_lie_in_the_run(scenario: Scenario) -> Iterator[Breach]:
    horizon_s = scenario.horizon_s
    for path, (from_s, to_s) in _intervals(scenario):
        if from_s >= to_s:
            yield path, (from_s, to_s), "an outage must end after it begins"
        elif horizon_s > 0 and to_s > horizon_s:
            yield path, (from_s, to_s), f"must lie between 0 and horizon_s, {horizon_s:.12g}"


def intervals_of_a_target_are_apart(scenario: Scenario) -> Iterator[Breach]:
    by_target: dict[Any, list[tuple[Path, tuple[float, float]]]] = {}
    for path, interval in _intervals(scenario):
        of = next(one for one in scenario.all_outages if one.path == path[:-3])
        key: Any = of.station, _target_key(of.outage)
        if isinstance(of.outage.target, ReplicasTarget) and of.outage.effect.stops:
            key = of.path  # each takes replicas of its own
        by_target.setdefault(key, []).append((path, interval))
    for written in by_target.values():
        yield from _unsorted(written)
        ordered = sorted(written, key=lambda one: one[1])
        for (_, before), (path, after) in pairwise(ordered):
            if after[0] < before[1]:
                rule = f"overlaps {show(before)} of the same target"
                yield path, after, rule


def _unsorted(written: list[tuple[Path, tuple[float, float]]]) -> Iterator[Breach]:
    """Within one list the intervals must come in order; separate outages may be written in any order."""
    for (path_before, before), (path, after) in pairwise(written):
        if path_before[:-1] == path[:-1] and after[1] <= before[0]:
            yield path, after, f"must stand before {show(before)}: outages are written in order of time"


def drawn_outages_can_be_counted(scenario: Scenario) -> Iterator[Breach]:
    """Time lines are drawn before the run; a slip of a unit must not fill the memory."""
    for path, kind, outages, _ in drawn_outages(scenario):
        if outages > MOST_PERIODS:
            yield path, kind, f"would make more than {MOST_PERIODS:,} outages before horizon_s"


def drawn_outages(scenario: Scenario) -> Iterator[tuple[Path, str, float, bool]]:
    """Of each way in which outages are drawn: where its kind stands, the kind, about how many it makes, and
    whether each of them is of a single link."""
    sizes = {group.group: group.clients for group in scenario.fleet}
    for written in scenario.all_outages:
        when, target = written.outage.when, written.outage.target
        cycle_s = when.cycle_s()
        lines = 1.0
        if isinstance(target, LinksTarget) and not target.correlated:
            lines = target.share * sum(sizes.get(name, 0) for name in target.groups)
        elif isinstance(target, ReplicasTarget) and target.each:
            lines = float(target.count)
        if cycle_s > 0:
            is_of_links = isinstance(target, LinksTarget) and not target.correlated
            outages = lines * scenario.horizon_s / cycle_s
            yield (*written.path, "when", "kind"), when.kind, outages, is_of_links


def what_fails_alone_has_times_of_its_own(scenario: Scenario) -> Iterator[Breach]:
    for written in scenario.all_outages:
        target, when = written.outage.target, written.outage.when
        if isinstance(target, LinksTarget) and not target.correlated and not when.may_differ:
            rule = "written intervals are the same for every link: use renewal, intermittent or a trace"
            yield (*written.path, "target", "correlated"), False, rule
        if isinstance(target, ReplicasTarget) and target.each:
            if not when.may_differ:
                rule = "written intervals are the same for every replica: use renewal or intermittent"
                yield (*written.path, "target", "each"), True, rule
            elif not written.outage.effect.stops:
                rule = "replicas that fail each on their own are down: must be false for a slowdown"
                yield (*written.path, "target", "each"), True, rule


def traces_of_outages_can_be_replayed(scenario: Scenario) -> Iterator[Breach]:
    """Read to their end, so that a run does not stop in its middle; about links that the outage hits."""
    for number, written in enumerate(scenario.all_outages):
        outage = written.outage
        if not isinstance(outage.when, TraceOutage):
            continue
        file, clients = outage.when.file, scenario.clients if isinstance(outage.target, LinksTarget) else 0
        try:
            outage.when.require(outage.target, written.target_name, outage.effect.kind, clients, number)
        except BadFile as error:
            yield (*written.path, "when", "file"), file, f"{PurePath(file).name}: {error}"


def targets_exist(scenario: Scenario) -> Iterator[Breach]:
    names = [group.group for group in scenario.fleet]
    for written in scenario.all_outages:
        path, target = (*written.path, "target"), written.outage.target
        if isinstance(target, ReplicasTarget) and written.station is not None:
            replicas = most_replicas(scenario.stations[written.station])
            if target.count > replicas:
                yield (*path, "count"), target.count, f"the server has {replicas} replicas"
        if isinstance(target, LinksTarget):
            for position, name in enumerate(target.groups):
                if name not in names:
                    yield (*path, "groups", position), name, f"there is no such group: {nearest(name, names)}"


def requeued_work_has_a_queue(scenario: Scenario) -> Iterator[Breach]:
    for path, server in stations(scenario):
        if server.in_flight == "requeue" and not server.queue_survives:
            rule = "needs queue_survives: true, or there is no queue to go to"
            yield (*path, "in_flight"), server.in_flight, rule


def deadlines_are_there_to_be_looked_at(scenario: Scenario) -> Iterator[Breach]:
    """What a server does about deadlines needs somebody to have one."""
    if any(group.deadline_s is not None for group in scenario.fleet):
        return
    for path, server in stations(scenario):
        found: tuple[tuple[Path, Any, bool], ...] = (
            (("discipline",), server.discipline, DISCIPLINES[server.discipline].needs_deadline),
            (("drop_expired",), server.drop_expired, server.drop_expired),
            (("admission", "kind"), server.admission.kind, server.admission.needs_deadline),
        )
        for key, value, looks in found:
            if looks:
                yield (*path, *key), value, "no group has a deadline_s, so this would do nothing"


def nobody_waits_for_ever(scenario: Scenario) -> Iterator[Breach]:
    """A client whose request can be swallowed must have a timer, or the request would never end."""
    asked = [_asked_by(scenario, group) for group in scenario.fleet]
    for index, group in enumerate(scenario.fleet):
        if group.timeout_s is not None or group.deadline_s is not None:
            continue
        if isinstance(group.policy.price, AlwaysLocal):
            continue
        swallowing = (what_swallows(scenario, server) for server in asked[index])
        cause = next((path for path in swallowing if path), None) or _cut_link(scenario, group)
        if cause is not None:
            rule = f"needs timeout_s or deadline_s, since {cause} can swallow a request without a word"
            yield ("fleet", index, "timeout_s"), group.timeout_s, rule


def _asked_by(scenario: Scenario, group: Group) -> list[int]:
    """The servers that a group may ask, as far as they are there."""
    named = {one.server for one in group.options or ()} or set(scenario.station_names)
    return [place for place, name in enumerate(scenario.station_names) if name in named]


def what_swallows(scenario: Scenario, station: int) -> str | None:
    """By what a server can lose a request silently: that it may have no replica, or the first such outage, by
    its path."""
    server = scenario.stations[station]
    if server.when_down == "silent" and server.autoscaling is not None and server.autoscaling.min == 0:
        return ".".join(map(str, (*scenario.station_paths[station], "autoscaling", "min")))
    for written in scenario.all_outages:
        outage = written.outage
        if not outage.effect.stops or station not in scenario.hit_by(written):
            continue
        forgets = server.when_down == "silent" or not server.queue_survives
        if server.in_flight == "lose" or (forgets and _can_stop_everything(server, outage)):
            return ".".join(map(str, written.path))
    return None


def _can_stop_everything(server: Station, outage: Outage) -> bool:
    fewest = server.replicas if server.autoscaling is None else server.autoscaling.min
    return not isinstance(outage.target, ReplicasTarget) or outage.target.count >= fewest


def _cut_link(scenario: Scenario, group: Group) -> str | None:
    for written in scenario.all_outages:
        outage = written.outage
        if (
            isinstance(outage.target, LinksTarget)
            and outage.effect.stops
            and group.group in outage.target.groups
            and outage.target.share > 0
        ):
            return ".".join(map(str, written.path))
    return None


def _intervals(scenario: Scenario) -> Iterator[tuple[Path, tuple[float, float]]]:
    for written in scenario.all_outages:
        if isinstance(written.outage.when, Intervals):
            for position, interval in enumerate(written.outage.when.at):
                yield (*written.path, "when", "at", position), interval


def _target_key(outage: Outage) -> Any:
    target = outage.target
    if isinstance(target, ReplicasTarget):
        return "replicas", target.count, outage.effect.kind
    where = frozenset(getattr(target, "groups", getattr(target, "names", ())))
    return target.kind, where, outage.effect.kind


OUTAGE_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (
    outages_hit_what_stands_near,
    intervals_lie_in_the_run,
    intervals_of_a_target_are_apart,
    drawn_outages_can_be_counted,
    what_fails_alone_has_times_of_its_own,
    traces_of_outages_can_be_replayed,
    targets_exist,
    requeued_work_has_a_queue,
    deadlines_are_there_to_be_looked_at,
    nobody_waits_for_ever,
)
