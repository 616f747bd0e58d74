"""Rules for clients that learn together during the run, each a small function over the scenario.
Beside `sim.scenario.rules.checks`, which runs them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sim.periods import begin_of, periods_before
from sim.registry.data_sets import DATA_SETS
from sim.registry.durations import constant_of
from sim.registry.families import REJECTOR_FAMILIES
from sim.registry.online_prices import OnlineRule
from sim.registry.prices import AlwaysLocal
from sim.registry.scores import SCORES
from sim.scenario.rules.learning import MOST_ROUNDS, classes_of
from sim.scenario.rules.options import has_several
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.federation import Federation
from sim.scenario.text.draft import Path

Breach = tuple[Path, Any, str]


def a_round_fits_between_two(scenario: Scenario) -> Iterator[Breach]:
    federation = scenario.federation
    if federation is None:
        return
    path, takes_s = ("federation", "wait_s"), federation.steps * federation.step_s
    if federation.wait_s <= takes_s:
        rule = f"must be greater than steps * step_s, {takes_s:.12g} s, or nothing is uploaded by then"
        yield path, federation.wait_s, rule
    elif federation.wait_s >= federation.every_s:
        yield path, federation.wait_s, f"must be less than every_s, {federation.every_s:.12g}"
    if 0 < scenario.horizon_s <= federation.every_s:
        rule = f"must be less than horizon_s, {scenario.horizon_s:.12g}, or no round is ever held"
        yield ("federation", "every_s"), federation.every_s, rule
    if scenario.horizon_s > MOST_ROUNDS * federation.every_s:
        rule = f"would hold more than {MOST_ROUNDS:,} rounds before horizon_s"
        yield ("federation", "every_s"), federation.every_s, rule


def broken_uploads_are_merged(scenario: Scenario) -> Iterator[Breach]:
    federation = scenario.federation
    if federation is None or federation.broken is None:
        return
    path: Path = ("federation", "broken")
    if not federation.merges_at(federation.every_s):
        rule = "nothing is uploaded with merge: none: must be null"
        if federation.merge != "none":
            rule = "heads are personal in every round, and nothing is uploaded: must be null"
        yield path, "...", rule
        return
    share, most = federation.broken.share, max(group.clients for group in scenario.fleet)
    if share * most < 0.5:
        rule = f"breaks no client of {most}, the largest group: must be at least {0.5 / most:.6g}"
        yield (*path, "share"), share, rule


def it_is_of_one_trained_server(scenario: Scenario) -> Iterator[Breach]:
    if scenario.federation is None:
        return
    if len(scenario.stations) > 1 or len(scenario.server_models) > 1:
        yield ("federation",), "...", "is for one server with one model: must be null"
    if DATA_SETS[scenario.data.set].has_answers:
        yield ("federation",), "...", "is for models that are trained: a table has its answers already"
    if scenario.training.online is not None:
        rule = "rejectors learn by federation from their own answers: must be null"
        yield ("training", "online"), "...", rule


def everybody_has_a_rejector_of_its_own(scenario: Scenario) -> Iterator[Breach]:
    federation = scenario.federation
    if federation is None or federation.learns != "rejectors":
        return
    learns = [SCORES[group.policy.score].needs_rejector for group in scenario.fleet]
    if not any(learns):
        yield ("federation",), "...", "no group has a score that is learned: must be null"
    families = [
        group.rejector.family for group, learned in zip(scenario.fleet, learns, strict=True) if learned
    ]
    all_head = [family for family in families if not REJECTOR_FAMILIES[family].hidden]
    if federation.share == "body" and all_head:
        rule = f"a rejector of family {all_head[0]} is all head: must be all or head"
        yield ("federation", "share"), federation.share, rule
    for index, group in enumerate(scenario.fleet):
        path: Path = ("fleet", index, "rejector")
        if not learns[index]:
            continue
        if group.rejector.per != "client":
            rule = "federation merges rejectors of clients: must be client"
            yield (*path, "per"), group.rejector.per, rule
        if has_several(scenario, group):
            rule = "an answer tells of one option, and with federation that is all they learn from"
            yield ("fleet", index, "options"), "...", rule


def prototypes_have_users(scenario: Scenario) -> Iterator[Breach]:
    """Who falls back to them learns them, and the other way round."""
    users = [index for index, group in enumerate(scenario.fleet) if group.fallback == "prototype"]
    if not scenario.shares_prototypes:
        for index in users:
            rule = "needs federation with learns: prototypes"
            yield ("fleet", index, "fallback"), "prototype", rule
        return
    for index in users:
        if isinstance(scenario.fleet[index].policy.price, AlwaysLocal):
            rule = "of clients that never ask a server, who learn of no label: must be client or none"
            yield ("fleet", index, "fallback"), "prototype", rule
    if not users:
        rule = "no group has fallback: prototype: must be rejectors"
        yield ("federation", "learns"), "prototypes", rule


def prototypes_are_merged_class_by_class(scenario: Scenario) -> Iterator[Breach]:
    federation = scenario.federation
    if federation is None or federation.learns != "prototypes":
        return
    if federation.merge not in {"average", "median"}:
        yield ("federation", "merge"), federation.merge, "prototypes take average or median"
    if federation.among != "variant":
        rule = "features of two models have nothing in common: must be variant"
        yield ("federation", "among"), federation.among, rule
    if federation.share != "all":
        yield ("federation", "share"), federation.share, "prototypes have no layers: must be all"


def heads_have_users(scenario: Scenario) -> Iterator[Breach]:
    """Whose server sends features back has a head that learns, and the other way round."""
    users = [index for index, group in enumerate(scenario.fleet) if group.reply == "features"]
    if not scenario.shares_heads:
        for index in users:
            yield ("fleet", index, "reply"), "features", "needs federation with learns: heads"
        return
    for index in users:
        price = scenario.fleet[index].policy.price
        if isinstance(price, AlwaysLocal):
            rule = "of clients that never ask a server: must be label"
            yield ("fleet", index, "reply"), "features", rule
        if isinstance(price, OnlineRule) or price.is_python:
            rule = (
                "hears what the server's model would say, and not the head that answers, of reply: features"
            )
            yield ("fleet", index, "policy", "price", "kind"), price.kind, rule
    if not users:
        yield ("federation", "learns"), "heads", "no group has reply: features: must be rejectors"


def heads_are_whole(scenario: Scenario) -> Iterator[Breach]:
    federation = scenario.federation
    if federation is None:
        return
    if federation.learns != "heads":
        if federation.heads is not None:
            yield ("federation", "heads"), "...", "is of learns: heads: must be null"
        return
    if federation.merge == "laplace":
        yield ("federation", "merge"), "laplace", "heads take none, average or median"
    if federation.share != "all":
        yield ("federation", "share"), federation.share, "a head is one layer: must be all"
    if scenario.training.specialise:
        yield ("training", "specialise"), True, "does not go with learns: heads yet: must be false"
    at_s = federation.heads.personalise_at_s if federation.heads is not None else None
    if at_s is None:
        return
    path: Path = ("federation", "heads", "personalise_at_s")
    if federation.merge == "none":
        yield path, at_s, "nothing is merged with merge: none, so that heads are personal: must be null"
    elif 0 < scenario.horizon_s <= at_s:
        yield path, at_s, f"must be less than horizon_s, {scenario.horizon_s:.12g}, or null"
    elif scenario.horizon_s > federation.every_s and at_s > (last_s := _last_due_s(scenario, federation)):
        yield path, at_s, f"must be at most {last_s:.12g}, when the last round is due, or null"


def _last_due_s(scenario: Scenario, federation: Federation) -> float:
    """When the last round before the horizon is due."""
    return float(begin_of(periods_before(scenario.horizon_s, federation.every_s) - 1, federation.every_s))


def who_drops_out_would_upload(scenario: Scenario) -> Iterator[Breach]:
    federation = scenario.federation
    if federation is not None and federation.dropout and not federation.merges_at(federation.every_s):
        yield ("federation", "dropout"), federation.dropout, "nothing is uploaded in any round: must be 0"


def neighbours_do_something(scenario: Scenario) -> Iterator[Breach]:
    federation = scenario.federation
    if federation is None or federation.neighbours is None:
        return
    path: Path = ("federation", "neighbours")
    if federation.neighbours.size == 1:
        rule = "a cluster of one has nobody to share with: must be at least 2, or neighbours null"
        yield (*path, "size"), 1, rule
    elif not (federation.has_one_uplink or federation.hands_over):
        rule = "nothing is shared with one_uplink: false and no hand_over: must be null"
        yield path, "...", rule


def neighbours_can_add_up_what_they_upload(scenario: Scenario) -> Iterator[Breach]:
    federation = scenario.federation
    if federation is None or not federation.has_one_uplink:
        return
    path: Path = ("federation", "neighbours", "one_uplink")
    if federation.merge == "none":
        yield path, True, "nothing is uploaded with merge: none: must be false"
    elif not federation.merges_at(federation.every_s):
        yield path, True, "heads are personal in every round, and nothing is uploaded: must be false"
    if federation.merge == "median":
        yield path, True, "a median of medians is not the median of all: must be false, or merge average"


def what_is_handed_over_is_learned_from(scenario: Scenario) -> Iterator[Breach]:
    """Labelled samples are of use to rejectors, and there is a place for each class."""
    federation = scenario.federation
    if federation is None:
        return
    path: Path = ("federation", "neighbours", "hand_over")
    hand_over = federation.neighbours.hand_over if federation.neighbours is not None else None
    asked: list[tuple[Path, int | None]] = [(("federation", "holds"), federation.holds)]
    if hand_over is not None:
        asked.append(((*path, "at_most"), hand_over.at_most))
    if federation.learns != "rejectors":
        if federation.holds is not None:
            rule = f"{federation.learns} are made of all that a client was told: must be null"
            yield ("federation", "holds"), federation.holds, rule
        if hand_over is not None:
            yield path, "...", f"{federation.learns} learn from no samples of others: must be null"
        return
    classes = classes_of(scenario)
    for place, most in asked:
        if most is not None and classes is not None and most < classes:
            yield place, most, f"must be at least {classes}, or some class has no representative"


def unequal_devices_have_time(scenario: Scenario) -> Iterator[Breach]:
    federation = scenario.federation
    if federation is None or federation.unequal is None:
        return
    path: Path = ("federation", "unequal")
    if federation.learns == "prototypes":
        yield path, "...", "prototypes are learned in no steps: must be null"
    if federation.learns == "heads":
        yield path, "...", "heads take as many steps on every device: must be null"
    if federation.merge == "laplace":
        rule = "weighs by a precision of as many steps of each with unequal: must be average, median or none"
        yield ("federation", "merge"), "laplace", rule
    if federation.step_s == 0:
        rule = "must be greater than 0 with unequal, or there is no time that steps could fit into"
        yield ("federation", "step_s"), 0.0, rule
    each_s, fits_s = constant_of(federation.unequal.step), federation.steps * federation.step_s
    if each_s is not None and 0 < fits_s < each_s:
        rule = f"must be at most steps * step_s, {fits_s:.12g} s, or nobody ever takes part"
        yield (*path, "step"), each_s, rule


FEDERATION_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (
    a_round_fits_between_two,
    broken_uploads_are_merged,
    it_is_of_one_trained_server,
    everybody_has_a_rejector_of_its_own,
    prototypes_have_users,
    prototypes_are_merged_class_by_class,
    heads_have_users,
    heads_are_whole,
    who_drops_out_would_upload,
    neighbours_do_something,
    neighbours_can_add_up_what_they_upload,
    what_is_handed_over_is_learned_from,
    unequal_devices_have_time,
)
