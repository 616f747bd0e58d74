"""Rules about servers, models and options: names that exist, batches that form, replicas within bounds.
Part of the table in `checks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sim.registry.choices import CHOICES
from sim.registry.data_sets import DATA_SETS
from sim.registry.disciplines import DISCIPLINES
from sim.registry.outage_targets import LinksTarget, ReplicasTarget, ServersTarget, ServerTarget
from sim.registry.scores import SCORES
from sim.registry.service import Affine
from sim.scenario import options
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import Group, Option
from sim.scenario.schema.server import ServerModel, Station
from sim.scenario.schema.training import Study
from sim.scenario.schema.values import SHORTEST_S
from sim.scenario.text.draft import Path
from sim.scenario.text.wording import nearest

Breach = tuple[Path, Any, str]


def stations(scenario: Scenario) -> Iterator[tuple[Path, Station]]:
    """Every server, and where it stands."""
    return zip(scenario.station_paths, scenario.stations, strict=True)


def server_models(scenario: Scenario) -> Iterator[tuple[Path, ServerModel]]:
    """Every model of the servers, and where it stands, or would."""
    if scenario.server is not None:
        yield ("server", "model"), scenario.server.model
        return
    for name, model in scenario.server_models.items():
        yield ("models", name), model


def there_are_servers(scenario: Scenario) -> Iterator[Breach]:
    if scenario.server is not None and scenario.servers is not None:
        yield ("servers",), "...", "there is a server, too: give one of the two"
    if scenario.models is not None and scenario.servers is None:
        yield ("models",), "...", "is for servers: the model of the one server stands in server.model"


def servers_and_models_are_there(scenario: Scenario) -> Iterator[Breach]:
    names, models = scenario.station_names, list(scenario.server_models)
    for place, name in enumerate(names):
        if name in names[:place]:
            yield ("servers", place, "server"), name, "another server has this name"
    for place, server in enumerate(scenario.servers or ()):
        for position, model in enumerate(server.models or ()):
            path: Path = ("servers", place, "models", position)
            if model not in models:
                yield path, model, f"there is no such model: {nearest(model, models)}"
            elif model in (server.models or ())[:position]:
                yield path, model, "is named twice"
        if len(scenario.models_of(place)) > 1 and server.max_batch > 1:
            rule = (
                "a batch is of one model: must be 1 where a server has several, or give each its own server"
            )
            yield ("servers", place, "max_batch"), server.max_batch, rule
    offered = {name for place in range(len(names)) for name in scenario.models_of(place)}
    for model in models if offered <= set(models) else ():
        if model not in offered:
            yield ("models", model), "...", "no server has this model"


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
    models = scenario.models_of(names.index(option.server))
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
        if form == "released" and any("form" in SCORES[name].depends_on for _, name in asked):
            yield path, form, "is the loss of one option, and clients have several: use nonnegative"
    if training.feedback == "deferred_only" and any(SCORES[name].needs_rejector for _, name in asked):
        rule = "an answer tells of one option, and clients have several: must be full"
        yield ("training", "feedback"), training.feedback, rule


def models_can_specialise(scenario: Scenario) -> Iterator[Breach]:
    if not scenario.training.specialise:
        return
    path: Path = ("training", "specialise")
    if scenario.training.online is not None:
        yield path, True, "is settled before the run: training.online must be null"
    files = any(model.file is not None for model in scenario.server_models.values())
    if files or DATA_SETS[scenario.data.set].has_answers:
        yield path, True, "is for models that are trained: a table or a file has its answers already"


def has_several(scenario: Scenario, group: Group) -> bool:
    """Whether the clients of a group have several options."""
    return len(options.written(scenario, group)) > 1


def several_are_not_trained_during_the_run(scenario: Scenario) -> Iterator[Breach]:
    if scenario.training.online is not None and (
        len(scenario.stations) > 1 or len(scenario.server_models) > 1
    ):
        yield ("training", "online"), "...", "is for one server with one model: must be null"
    if scenario.training.availability == "observed" and len(scenario.stations) > 1:
        yield (
            ("training", "availability"),
            "observed",
            "is for one server: give a number, which holds for all",
        )


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
            if name not in names:
                yield (*path, "names", position), name, f"there is no such server: {nearest(name, names)}"


def a_batch_fits_the_queue(scenario: Scenario) -> Iterator[Breach]:
    for path, server in stations(scenario):
        if server.queue_limit is not None and server.max_batch > server.queue_limit + 1:
            rule = f"must be at most queue_limit + 1, {server.queue_limit + 1}: a larger batch never forms"
            yield (*path, "max_batch"), server.max_batch, rule


def priorities_are_heeded(scenario: Scenario) -> Iterator[Breach]:
    """A priority needs a server that looks at it."""
    if len({group.priority for group in scenario.fleet}) == 1:
        return
    heeding = [DISCIPLINES[one.discipline].heeds_priority for one in scenario.stations]
    for index, group in enumerate(scenario.fleet):
        asked = {one.server for one in group.options or ()} or set(scenario.station_names)
        asks = [heeds for name, heeds in zip(scenario.station_names, heeding, strict=True) if name in asked]
        if group.priority and not any(asks):
            rule = "no server that the group asks heeds it: set discipline: priority, or leave it 0"
            yield ("fleet", index, "priority"), group.priority, rule


def service_takes_time(scenario: Scenario) -> Iterator[Breach]:
    for path, server in stations(scenario):
        service = server.service
        if isinstance(service, Affine) and service.base_s + service.per_item_s < SHORTEST_S:
            rule = f"base_s + per_item_s must be greater than or equal to {SHORTEST_S:g}"
            yield (*path, "service", "base_s"), service.base_s, rule


def autoscaling_starts_within_its_bounds(scenario: Scenario) -> Iterator[Breach]:
    for path, server in stations(scenario):
        scaling, replicas = server.autoscaling, server.replicas
        if scaling is None:
            continue
        if (scaling.target_utilisation is None) == (scaling.target_queue is None):
            rule = "goes by target_utilisation or by target_queue: give one of the two"
            yield (*path, "autoscaling"), "...", rule
        if scaling.min == 0 and not server.queue_survives:
            rule = "needs queue_survives: true, or who waits while there is no replica would be lost"
            yield (*path, "autoscaling", "min"), 0, rule
        if scaling.stabilise_s > 1_000 * scaling.interval_s:
            rule = f"must be at most 1,000 times interval_s, {1_000 * scaling.interval_s:g}"
            yield (*path, "autoscaling", "stabilise_s"), scaling.stabilise_s, rule
        if scaling.min > scaling.max:
            yield (*path, "autoscaling", "min"), scaling.min, f"must be at most max, {scaling.max}"
        elif not scaling.min <= replicas <= scaling.max:
            rule = f"must be between autoscaling.min and autoscaling.max, {scaling.min} and {scaling.max}"
            yield (*path, "replicas"), replicas, rule


SERVER_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (
    there_are_servers,
    servers_and_models_are_there,
    options_are_there,
    several_options_can_be_chosen_among,
    several_options_can_be_learned_about,
    models_can_specialise,
    several_are_not_trained_during_the_run,
    outages_hit_what_stands_near,
    a_batch_fits_the_queue,
    priorities_are_heeded,
    service_takes_time,
    autoscaling_starts_within_its_bounds,
)
