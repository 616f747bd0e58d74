"""Rules about outages: when they may be written, what they may hit, and that nobody waits for ever.
Part of the table in `checks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import PurePath
from typing import Any

from sim.registry.disciplines import DISCIPLINES
from sim.registry.outage_targets import LinksTarget, ReplicasTarget
from sim.registry.outages import Intervals, TraceOutage
from sim.registry.prices import AlwaysLocal
from sim.scenario.files.rows import BadFile
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import Group
from sim.scenario.schema.server import Outage, Server
from sim.scenario.text.draft import Path
from sim.scenario.text.wording import nearest, show

Breach = tuple[Path, Any, str]
MOST_PERIODS = 10_000_000


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
        outage = scenario.server.outages[int(path[2])]
        key = _target_key(outage)
        if isinstance(outage.target, ReplicasTarget) and outage.effect.stops:
            key = path[2]  # each takes replicas of its own
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
    sizes = {group.group: group.clients for group in scenario.fleet}
    for index, outage in enumerate(scenario.server.outages):
        when, target = outage.when, outage.target
        path: Path = ("server", "outages", index, "when", "kind")
        cycle_s = when.cycle_s()
        lines = 1.0
        if isinstance(target, LinksTarget) and not target.correlated:
            lines = target.share * sum(sizes.get(name, 0) for name in target.groups)
        if lines * scenario.horizon_s > MOST_PERIODS * cycle_s > 0:
            rule = f"would make more than {MOST_PERIODS:,} outages before horizon_s"
            yield path, when.kind, rule


def independent_links_have_times_of_their_own(scenario: Scenario) -> Iterator[Breach]:
    for index, outage in enumerate(scenario.server.outages):
        target = outage.target
        if isinstance(target, LinksTarget) and not target.correlated and not outage.when.may_differ:
            rule = "written intervals are the same for every link: use renewal, intermittent or a trace"
            yield ("server", "outages", index, "target", "correlated"), False, rule


def traces_of_outages_can_be_replayed(scenario: Scenario) -> Iterator[Breach]:
    """Read to their end, so that a run does not stop in its middle; about links that the outage hits."""
    for index, outage in enumerate(scenario.server.outages):
        if not isinstance(outage.when, TraceOutage):
            continue
        path: Path = ("server", "outages", index, "when", "file")
        file, clients = outage.when.file, scenario.clients if isinstance(outage.target, LinksTarget) else 0
        try:
            outage.when.require(outage.target, outage.target_name, outage.effect.kind, clients, index)
        except BadFile as error:
            yield path, file, f"{PurePath(file).name}: {error}"


def targets_exist(scenario: Scenario) -> Iterator[Breach]:
    names = [group.group for group in scenario.fleet]
    scaling = scenario.server.autoscaling
    replicas = scenario.server.replicas if scaling is None else scaling.max
    for index, outage in enumerate(scenario.server.outages):
        path: Path = ("server", "outages", index, "target")
        target = outage.target
        if isinstance(target, ReplicasTarget) and target.count > replicas:
            yield (*path, "count"), target.count, f"the server has {replicas} replicas"
        if isinstance(target, LinksTarget):
            for position, name in enumerate(target.groups):
                if name not in names:
                    yield (*path, "groups", position), name, f"there is no such group: {nearest(name, names)}"


def requeued_work_has_a_queue(scenario: Scenario) -> Iterator[Breach]:
    server = scenario.server
    if server.in_flight == "requeue" and not server.queue_survives:
        yield (
            ("server", "in_flight"),
            server.in_flight,
            "needs queue_survives: true, or there is no queue to go to",
        )


def deadlines_are_there_to_be_looked_at(scenario: Scenario) -> Iterator[Breach]:
    """What the server does about deadlines needs somebody to have one."""
    server = scenario.server
    if any(group.deadline_s is not None for group in scenario.fleet):
        return
    found: tuple[tuple[Path, Any, bool], ...] = (
        (("server", "discipline"), server.discipline, DISCIPLINES[server.discipline].needs_deadline),
        (("server", "drop_expired"), server.drop_expired, server.drop_expired),
        (("server", "admission", "kind"), server.admission.kind, server.admission.needs_deadline),
    )
    for path, value, looks in found:
        if looks:
            yield path, value, "no group has a deadline_s, so this would do nothing"


def nobody_waits_for_ever(scenario: Scenario) -> Iterator[Breach]:
    """A client whose request can be swallowed must have a timer, or the request would never end."""
    swallowing = server_outage_that_swallows(scenario.server)
    for index, group in enumerate(scenario.fleet):
        if group.timeout_s is not None or group.deadline_s is not None:
            continue
        if isinstance(group.policy.price, AlwaysLocal):
            continue
        cause = swallowing or _cut_link(scenario.server, group)
        if cause is not None:
            rule = f"needs timeout_s or deadline_s, since {cause} can swallow a request without a word"
            yield ("fleet", index, "timeout_s"), group.timeout_s, rule


def server_outage_that_swallows(server: Server) -> str | None:
    """The first outage in which the server can lose a request silently, by its path."""
    for index, outage in enumerate(server.outages):
        if not outage.effect.stops or isinstance(outage.target, LinksTarget):
            continue
        forgets = server.when_down == "silent" or not server.queue_survives
        if server.in_flight == "lose" or (forgets and _can_stop_everything(server, outage)):
            return f"server.outages.{index}"
    return None


def _can_stop_everything(server: Server, outage: Outage) -> bool:
    fewest = server.replicas if server.autoscaling is None else server.autoscaling.min
    return not isinstance(outage.target, ReplicasTarget) or outage.target.count >= fewest


def _cut_link(server: Server, group: Group) -> str | None:
    for index, outage in enumerate(server.outages):
        if (
            isinstance(outage.target, LinksTarget)
            and outage.effect.stops
            and group.group in outage.target.groups
            and outage.target.share > 0
        ):
            return f"server.outages.{index}"
    return None


def _intervals(scenario: Scenario) -> Iterator[tuple[Path, tuple[float, float]]]:
    for index, outage in enumerate(scenario.server.outages):
        if isinstance(outage.when, Intervals):
            for position, interval in enumerate(outage.when.at):
                yield ("server", "outages", index, "when", "at", position), interval


def _target_key(outage: Outage) -> Any:
    target = outage.target
    if isinstance(target, ReplicasTarget):
        return "replicas", target.count, outage.effect.kind
    where = frozenset(target.groups) if isinstance(target, LinksTarget) else None
    return target.kind, where, outage.effect.kind


OUTAGE_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (
    intervals_lie_in_the_run,
    intervals_of_a_target_are_apart,
    drawn_outages_can_be_counted,
    independent_links_have_times_of_their_own,
    traces_of_outages_can_be_replayed,
    targets_exist,
    requeued_work_has_a_queue,
    deadlines_are_there_to_be_looked_at,
    nobody_waits_for_ever,
)
