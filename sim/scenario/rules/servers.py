"""Rules about servers, models and options: names that exist, batches that form, replicas within bounds.
Part of the table in `checks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sim.registry.data_sets import DATA_SETS
from sim.registry.disciplines import DISCIPLINES
from sim.registry.service import Affine
from sim.registry.switches import BacklogSwitch
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.server import ServerModel, Station
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


def a_batch_is_of_one_model(scenario: Scenario) -> Iterator[Breach]:
    for place, server in enumerate(scenario.servers or ()):
        if len(scenario.models_of(place)) > 1 and server.max_batch > 1 and server.switch is None:
            rule = (
                "a batch is of one model: must be 1 where a server has several and no switch, or give each "
                "its own server"
            )
            yield ("servers", place, "max_batch"), server.max_batch, rule


def switches_have_models_in_order(scenario: Scenario) -> Iterator[Breach]:
    for place, server in enumerate(scenario.servers or ()):
        path: Path = ("servers", place, "switch")
        names, switch = scenario.models_of(place), server.switch
        if switch is None:
            continue
        if len(names) < 2:
            yield path, "...", "the server has one model, and nothing to switch between: must be null"
        works = [scenario.server_models[name].work for name in names if name in scenario.server_models]
        for name, less, more in zip(names[1:], works[:-1], works[1:], strict=True):
            if less >= more:
                rule = (
                    f"a switch wants models that work the more the later they stand: {more:g} after {less:g}"
                )
                yield ("models", name, "work"), more, rule
        if isinstance(switch, BacklogSwitch) and switch.below >= switch.above:
            yield (*path, "below"), switch.below, f"must be less than above, {switch.above}"
        if switch.shares is not None and len(switch.shares) != len(names):
            yield (*path, "shares"), switch.shares, f"must be {len(names)}, one for each model"
        elif switch.shares is not None and abs(sum(switch.shares) - 1.0) > 1e-6:
            yield (*path, "shares"), switch.shares, "must come to 1 together"
        if switch.needs_deadline and all(group.deadline_s is None for group in scenario.fleet):
            yield (*path, "kind"), switch.kind, "no group has a deadline_s: give one, or another switch"


def every_model_has_a_server(scenario: Scenario) -> Iterator[Breach]:
    offered = [name for place in range(len(scenario.stations)) for name in scenario.models_of(place)]
    for model in scenario.server_models:
        if model not in offered:
            rule = f"no server has this model: {nearest(model, [*dict.fromkeys(offered)])}"
            yield ("models", model), "...", rule


def models_fit_the_memory(scenario: Scenario) -> Iterator[Breach]:
    models = scenario.server_models
    for place, (path, server) in enumerate(stations(scenario)):
        there = [name for name in scenario.models_of(place) if name in models]
        apart = [name for name in there if models[name].nested_in not in there]  # a part is in its whole
        takes = {name: models[name].memory_bytes for name in apart}
        if server.load_s is not None:
            continue  # where each must fit, see `models_can_be_swapped`
        if server.memory_bytes is not None and sum(takes.values()) > server.memory_bytes:
            each = ", ".join(f"{name} {one:g}" for name, one in takes.items())
            rule = f"its models take {sum(takes.values()):g}: {each}"
            yield (*path, "memory_bytes"), server.memory_bytes, rule


def models_can_be_swapped(scenario: Scenario) -> Iterator[Breach]:
    """With `load_s`: there is something to swap, and room for each model alone."""
    models = scenario.server_models
    for place, (path, server) in enumerate(stations(scenario)):
        if server.load_s is None:
            continue
        there = [name for name in scenario.models_of(place) if name in models]
        parts = [name for name in there if models[name].nested_in in there]
        if len(there) < 2:
            yield (*path, "load_s"), server.load_s, "the server has one model, which stays: must be null"
        elif server.memory_bytes is None:
            yield (
                (*path, "load_s"),
                server.load_s,
                "all models are in memory where memory_bytes is null: give it, or be null",
            )
        if server.stages > 1:
            rule = "other batches are in a pipeline as a model goes out: must be 1 with load_s"
            yield (*path, "stages"), server.stages, rule
        if server.serverless is not None:
            rule = "an instance starts with its models: must be null with load_s, or set cold_start_s instead"
            yield (*path, "serverless"), "...", rule
        if parts:
            rule = f"{parts[0]} is a part of a model of this server, and goes with it: must be null"
            yield (*path, "load_s"), server.load_s, rule
        for name in there:
            if server.memory_bytes is not None and models[name].memory_bytes > server.memory_bytes:
                rule = f"{name} takes {models[name].memory_bytes:g} alone: it can never come in"
                yield (*path, "memory_bytes"), server.memory_bytes, rule


def a_pipeline_has_stages(scenario: Scenario) -> Iterator[Breach]:
    for path, server in stations(scenario):
        if server.stages == 1 and server.stage_overhead > 1:
            rule = "there is one stage: must be 1, or set stages"
            yield (*path, "stage_overhead"), server.stage_overhead, rule
        if server.stages > 1 and server.in_flight in ("resume", "restart"):
            rule = "a batch that stands still would block its pipeline: use lose, requeue or finish"
            yield (*path, "in_flight"), server.in_flight, rule


def models_can_specialise(scenario: Scenario) -> Iterator[Breach]:
    if not scenario.training.specialise:
        return
    path: Path = ("training", "specialise")
    if scenario.training.online is not None:
        yield path, True, "is settled before the run: training.online must be null"
    if any(scenario.switch_of(place) for place in range(len(scenario.stations))):
        yield path, True, "is for models that clients choose: no server may have a switch"
    files = any(model.file is not None for model in scenario.server_models.values())
    if files or DATA_SETS[scenario.data.set].has_answers:
        yield path, True, "is for models that are trained: a table or a file has its answers already"


def a_warm_start_can_be_taken(scenario: Scenario) -> Iterator[Breach]:
    if scenario.training.warm_start is None:
        return
    path: Path = ("training", "warm_start")
    trained = [m for m in scenario.server_models.values() if m.file is None and m.of_group is None]
    if DATA_SETS[scenario.data.set].has_answers:
        yield path, "...", "is for models that are trained: a table has its answers already"
    elif not trained:
        yield path, "...", "no model of the servers is trained: must be null"


def there_is_a_label_to_learn_from(scenario: Scenario) -> Iterator[Breach]:
    training, path = scenario.training, ("training", "pretrain", "labelled")
    share, online = training.pretrain.labelled, training.online
    if share < 1 and DATA_SETS[scenario.data.set].has_answers:
        yield path, share, "is for models that are trained: a table has its answers already, must be 1"
    elif share < 1 and training.shared_batch:
        yield path, share, "rejectors need the labels of a shared_batch: must be 1"
    if share > 0:
        return
    if training.warm_start is None:
        yield path, share, "the server would learn nothing: must be greater than 0, or set warm_start"
    if training.specialise:
        yield path, share, "models specialise by what they learn from labels: must be greater than 0"
    if online is not None and online.source != "deferred":
        rule = f"training.online learns from source: {online.source}: must be greater than 0"
        yield path, share, rule


def availability_is_seen_of_one_server(scenario: Scenario) -> Iterator[Breach]:
    if scenario.training.availability == "observed" and len(scenario.stations) > 1:
        yield (
            ("training", "availability"),
            "observed",
            "is for one server: give a number, which holds for all",
        )


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


def instances_can_be_invoked(scenario: Scenario) -> Iterator[Breach]:
    """A call is one request, whose instance nobody else scales, and which is over where that stops."""
    for path, server in stations(scenario):
        if server.serverless is None:
            continue
        if server.max_batch > 1:
            yield (*path, "max_batch"), server.max_batch, "a call is one request: must be 1 with serverless"
        if server.stages > 1:
            yield (*path, "stages"), server.stages, "an instance is no pipeline: must be 1 with serverless"
        if server.autoscaling is not None:
            rule = (
                "instances come and go with the calls: must be null with serverless, whose most are replicas"
            )
            yield (*path, "autoscaling"), "...", rule
        if server.in_flight not in ("lose", "finish"):
            yield (*path, "in_flight"), server.in_flight, "must be lose or finish with serverless"
        if server.serverless.provisioned > server.replicas:
            rule = f"must be at most replicas, {server.replicas}"
            yield (*path, "serverless", "provisioned"), server.serverless.provisioned, rule


SERVER_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (
    a_batch_is_of_one_model,
    switches_have_models_in_order,
    every_model_has_a_server,
    models_fit_the_memory,
    models_can_be_swapped,
    a_pipeline_has_stages,
    models_can_specialise,
    a_warm_start_can_be_taken,
    there_is_a_label_to_learn_from,
    availability_is_seen_of_one_server,
    a_batch_fits_the_queue,
    priorities_are_heeded,
    service_takes_time,
    autoscaling_starts_within_its_bounds,
    instances_can_be_invoked,
)
