"""Rules about options: servers and models that they name, what can be chosen among and learned about.
Part of the table in `checks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from typing import Any

from sim.registry.choices import CHOICES
from sim.registry.losses import LOSSES
from sim.registry.scores import SCORES
from sim.scenario import options
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import Group, Option
from sim.scenario.schema.training import Study
from sim.scenario.text.draft import Path
from sim.scenario.text.wording import nearest

Breach = tuple[Path, Any, str]


def options_are_there(scenario: Scenario) -> Iterator[Breach]:
    for index, group in enumerate(scenario.fleet):
        seen: set[str] = set()
        for position, option in enumerate(group.options or ()):
            path: Path = ("fleet", index, "options", position)
            if option.option in seen:
                yield (*path, "option"), option.option, "another option of the group has this name"
            seen.add(option.option)
            yield from _asks_what_is_there(scenario, option, path)


def _asks_what_is_there(scenario: Scenario, option: Option, path: Path) -> Iterator[Breach]:
    names = scenario.station_names
    if option.server not in names:
        yield (*path, "server"), option.server, f"there is no such server: {nearest(option.server, names)}"
        return
    place = names.index(option.server)
    models = scenario.models_of(place)
    if scenario.switch_of(place) is not None:
        if option.model is not None:
            yield (
                (*path, "model"),
                option.model,
                "its server chooses the model as a batch starts: must be null",
            )
        return
    if option.model is None and len(models) > 1:
        yield (*path, "model"), None, f"the server has several: must be one of {', '.join(models)}"
    elif option.model is not None and option.model not in models:
        rule = f"the server has no such model: {nearest(option.model, models)}"
        yield (*path, "model"), option.model, rule


def several_options_can_be_chosen_among(scenario: Scenario) -> Iterator[Breach]:
    for index, group in enumerate(scenario.fleet):
        score, price, several = SCORES[group.policy.score], group.policy.price, has_several(scenario, group)
        path: Path = ("fleet", index)
        if not several:
            if "choose" in group.model_fields_set and group.choose != "best":
                yield (*path, "choose"), group.choose, "there is one option: nothing is to choose"
            if group.retry is not None and group.retry.next == "other":
                yield (*path, "retry", "next"), "other", "there is one option: must be same"
            if group.hedge is not None:
                yield (*path, "hedge"), "...", "there is one option, and a hedge asks another: must be null"
            continue
        if CHOICES[group.choose].needs_scores and not score.is_per_option:
            rule = (
                f"score {score.name} ranks the client against all options alike: "
                "use order, least_backlog, two_choices, round_robin or home"
            )
            yield (*path, "choose"), group.choose, rule
        if score.is_per_option and price.needs_calibration:
            rule = f"holds a rate by one score, where {score.name} gives each option its own: use threshold"
            yield (*path, "policy", "price", "kind"), price.kind, rule


def homes_are_options(scenario: Scenario) -> Iterator[Breach]:
    for index, group in enumerate(scenario.fleet):
        if group.homes is None:
            continue
        path: Path = ("fleet", index, "homes")
        if group.choose != "home":
            yield path, "...", "is for choose: home: must be null"
        elif len(group.homes) != group.clients:
            yield (
                path,
                "...",
                f"must name an option for each of {group.clients} clients, not {len(group.homes)}",
            )
        names = [option.option for option in options.written(scenario, group)]
        for client, name in enumerate(group.homes):
            if name not in names:
                yield (*path, client), name, f"there is no such option: {nearest(name, names)}"
                break


def a_hedge_can_leave(scenario: Scenario) -> Iterator[Breach]:
    """A first attempt that has failed by then is not hedged."""
    for index, group in enumerate(scenario.fleet):
        limits = {"timeout_s": group.timeout_s or inf, "deadline_s": group.deadline_s or inf}
        key, least = min(limits.items(), key=lambda limit: limit[1])
        if group.hedge is not None and group.hedge.after_s >= least:
            rule = f"must be less than {key}, {least:g}, when the attempt has failed already"
            yield ("fleet", index, "hedge", "after_s"), group.hedge.after_s, rule


def several_options_can_be_learned_about(scenario: Scenario) -> Iterator[Breach]:
    """What of learning is for one option alone."""
    groups = [index for index, group in enumerate(scenario.fleet) if has_several(scenario, group)]
    if not groups:
        return
    training, study = scenario.training, scenario.study or Study()
    asked: list[tuple[Path, str]] = [
        (("fleet", index, "policy", "score"), scenario.fleet[index].policy.score) for index in groups
    ]
    asked += [(("study", "score"), score) for score in study.score or ()]
    for path, name in asked:
        if SCORES[name].needs_rejector and not SCORES[name].is_per_option:
            rule = "learns about one option, and clients have several: use l2h, plug_in or l2h_priced"
            yield path, name, rule
    forms: list[tuple[Path, str]] = [(("training", "form"), training.form)]
    forms += [(("study", "form"), form) for form in study.form or ()]
    for path, form in forms:
        if LOSSES[form].for_one_option and any("form" in SCORES[name].depends_on for _, name in asked):
            yield path, form, "is the loss of one option, and clients have several: use nonnegative"
    if training.feedback == "deferred_only" and any(SCORES[name].needs_rejector for _, name in asked):
        rule = "an answer tells of one option, and clients have several: must be full"
        yield ("training", "feedback"), training.feedback, rule


def has_several(scenario: Scenario, group: Group) -> bool:
    """Whether the clients of a group have several options."""
    return len(options.written(scenario, group)) > 1


OPTION_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (
    options_are_there,
    several_options_can_be_chosen_among,
    homes_are_options,
    a_hedge_can_leave,
    several_options_can_be_learned_about,
)
