"""Rules for training during the run and for traffic that drifts, each a small function over the scenario.
Beside `sim.scenario.rules.checks`, which runs them all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from sim.registry.data_sets import DATA_SETS
from sim.registry.mixes import Drift
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.training import Online
from sim.scenario.text.draft import Path
from sim.scenario.text.wording import nearest

Breach = tuple[Path, Any, str]

MOST_ROUNDS = 100_000
MOST_LAID_DOWN = 400_000_000  # where gaps are adaptive: rounds² · (clients + those that a round counts as)
ROUND_AS_CLIENTS = 1_000
MOST_SETTINGS = 10_000  # of a study: each trains and judges rejectors, some hundred kilobytes of them


def classes_of(scenario: Scenario) -> int | None:
    """Number of classes of the data set; None where it is known once that is read."""
    return DATA_SETS[scenario.data.set].classes_of(scenario.data)


def shortest_gap(online: Online) -> tuple[Path, float]:
    """The key that says how close two rounds may be, and what it says."""
    if online.adaptive is None:
        return ("training", "online", "every_s"), online.every_s
    return ("training", "online", "adaptive", "at_least_s"), online.adaptive.at_least_s


def rounds_do_not_overlap(scenario: Scenario) -> Iterator[Breach]:
    online = scenario.training.online
    if online is None:
        return
    takes_s = online.steps * online.step_s
    if online.shortest_s < takes_s:
        rule = f"a round takes steps * step_s, {takes_s:.12g} s, and must end before the next is due"
        yield *shortest_gap(online), rule


def rounds_can_be_counted(scenario: Scenario) -> Iterator[Breach]:
    """Each is laid down with all before it, and a step of the server at least."""
    online, rule = scenario.training.online, "would hold more than {:,} rounds before horizon_s"
    if online is None:
        return
    most = MOST_ROUNDS
    if online.adaptive is not None:
        most = most_adaptive(scenario.clients)
        rule += f", too many for {scenario.clients:,} clients: each lays down anew what all of them are sent"
    if scenario.horizon_s > most * online.shortest_s:
        yield *shortest_gap(online), rule.format(most)


def most_adaptive(clients: int) -> int:
    """How many rounds may choose their gaps. The k-th costs k·(clients + 1,000) times 0.2 µs on one core, so
    that all of them take about 40 s at most."""
    return max(1, math.isqrt(MOST_LAID_DOWN // (clients + ROUND_AS_CLIENTS)))


def adaptive_gaps_can_be_kept(scenario: Scenario) -> Iterator[Breach]:
    """What depends on a round is known as it begins, and what slows the server before the run."""
    online = scenario.training.online
    if online is None or online.adaptive is None:
        return
    path, least_s = shortest_gap(online)
    trains_s = online.rejector_steps * online.rejector_step_s
    if least_s > online.every_s:
        yield path, least_s, f"must not exceed every_s, {online.every_s:.12g}, the longest gap"
    elif least_s < trains_s:
        rule = f"a rejector learns for rejector_steps * rejector_step_s, {trains_s:.12g} s, from each copy"
        yield path, least_s, rule
    if online.capacity_share:
        share = online.capacity_share
        yield ("training", "online", "capacity_share"), share, "not yet with adaptive: must be 0"


def models_can_be_trained(scenario: Scenario) -> Iterator[Breach]:
    """During the run: those that `models` names are there, and their weights are their own."""
    online, models = scenario.training.online, scenario.server_models
    if online is None:
        return
    several = len(scenario.stations) > 1 or len(models) > 1
    if several and online.adaptive is not None:
        rule = "gaps follow the answers of one model on one server: must be null"
        yield ("training", "online", "adaptive"), "...", rule
    if any(model.nested_in is not None for model in models.values()):
        yield ("training", "online"), "...", "not yet with models that are nested: must be null"
    path: Path = ("training", "online", "models")
    for place, name in enumerate(online.models or ()):
        if len(models) == 1:
            yield path, online.models, "there is one model: must be null"
            break
        if name not in models:
            yield (*path, place), name, f"there is no such model: {nearest(name, [*models])}"
        elif name in (online.models or ())[:place]:
            yield (*path, place), name, "is named before"


def settings_can_be_counted(scenario: Scenario) -> Iterator[Breach]:
    """A study has one for every combination of its lists."""
    study = scenario.study
    if study is None:
        return
    named = {name: getattr(study, name) or () for name in ("c_e", "c_1", "sync_every", "form")}
    settings = math.prod(len(one) or 1 for one in named.values())
    if settings > MOST_SETTINGS:
        longest = max(named, key=lambda name: len(named[name]))
        rule = f"would make {settings:,} settings, more than {MOST_SETTINGS:,}"
        yield ("study", longest), named[longest], rule


def some_round_is_due(scenario: Scenario) -> Iterator[Breach]:
    online = scenario.training.online
    if online is not None and 0 < scenario.horizon_s <= online.shortest_s:
        rule = f"must be less than horizon_s, {scenario.horizon_s:.12g}, or no round is ever held"
        yield *shortest_gap(online), rule


def drifts_lie_in_the_run_in_order(scenario: Scenario) -> Iterator[Breach]:
    for path, drifts in _drifts(scenario):
        for number, drift in enumerate(drifts):
            if not drift.at_s:
                rule = "must be greater than 0: what holds from the start is the mix itself"
                yield (*path, number, "at_s"), drift.at_s, rule
            elif 0 < scenario.horizon_s <= drift.at_s:
                rule = f"must be less than horizon_s, {scenario.horizon_s:.12g}"
                yield (*path, number, "at_s"), drift.at_s, rule
        for number, (before, after) in enumerate(pairwise(drifts), start=1):
            if after.at_s <= before.at_s:
                rule = f"must be greater than that of the drift before, {before.at_s:.12g}"
                yield (*path, number, "at_s"), after.at_s, rule


def drifts_change_something(scenario: Scenario) -> Iterator[Breach]:
    classes = classes_of(scenario)
    for path, drifts in _drifts(scenario):
        for number, drift in enumerate(drifts):
            here: Path = (*path, number, "classes")
            if drift.classes is None:
                if drift.noise is None:
                    yield here, None, "a drift changes classes, noise or both"
            elif classes is not None and len(drift.classes) != classes:
                rule = f"must be {classes} weights, one for each class of {scenario.data.set}"
                yield here, drift.classes, rule
            elif not any(drift.classes):
                yield here, drift.classes, "at least one weight must be greater than 0"


def _drifts(scenario: Scenario) -> Iterator[tuple[Path, tuple[Drift, ...]]]:
    for index, group in enumerate(scenario.fleet):
        yield ("fleet", index, "traffic", "drift"), group.traffic.drift


LEARNING_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (
    rounds_do_not_overlap,
    rounds_can_be_counted,
    adaptive_gaps_can_be_kept,
    models_can_be_trained,
    settings_can_be_counted,
    some_round_is_due,
    drifts_lie_in_the_run_in_order,
    drifts_change_something,
)
