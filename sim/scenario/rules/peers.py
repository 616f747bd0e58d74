"""Rules about clients that answer for others, or send the features of their models: whose model that is, and
which devices have it.
Part of the table in `checks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sim.registry.data_sets import DATA_SETS
from sim.registry.families import MODEL_FAMILIES, model_family
from sim.scenario.options import model_of, written
from sim.scenario.rules.servers import server_models
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.server import ServerModel
from sim.scenario.text.draft import Path
from sim.scenario.text.wording import nearest

Breach = tuple[Path, Any, str]


def models_of_groups_are_there(scenario: Scenario) -> Iterator[Breach]:
    variants = {group.group: group.model.variants for group in scenario.fleet}
    families = {group.group: group.model.family for group in scenario.fleet}
    for path, model in server_models(scenario):
        if model.of_group is None:
            if model.variant:
                yield (*path, "variant"), model.variant, "is one of a group's models: give of_group"
        elif model.of_group not in variants:
            rule = f"there is no such group: {nearest(model.of_group, [*variants])}"
            yield (*path, "of_group"), model.of_group, rule
        elif model.variant >= variants[model.of_group]:
            rule = f"{model.of_group} has the models 0 to {variants[model.of_group] - 1}"
            yield (*path, "variant"), model.variant, rule
        elif model.file is not None or model.answers is not None:
            yield (*path, "of_group"), model.of_group, "is a model already: leave out file and answers"
        elif model.family not in (ServerModel().family, family := families[model.of_group]):
            rule = f"of_group is a model already, of {family}: leave it out"
            yield (*path, "family"), model.family, rule
        elif DATA_SETS[scenario.data.set].has_answers:
            yield (*path, "of_group"), model.of_group, "not yet with a table: must be null"
        elif scenario.training.online is not None:
            yield ("training", "online"), "...", "a client's model is frozen: must be null"
        elif scenario.training.specialise:
            yield ("training", "specialise"), True, "is for models that are trained: a client's is frozen"


def peers_are_devices(scenario: Scenario) -> Iterator[Breach]:
    groups = [group.group for group in scenario.fleet]
    for place, server in enumerate(scenario.servers or ()):
        path: Path = ("servers", place, "peers_of")
        if server.peers_of is None:
            continue
        models = [scenario.server_models[name] for name in scenario.models_of(place)]
        if server.peers_of not in groups:
            yield path, server.peers_of, f"there is no such group: {nearest(server.peers_of, groups)}"
        elif [model.of_group for model in models] != [server.peers_of]:
            yield path, server.peers_of, "needs one model, with of_group the same group"
        elif server.autoscaling is not None:
            yield ("servers", place, "autoscaling"), "...", "peers are as many as there are: must be null"
        elif server.serverless is not None:
            yield ("servers", place, "serverless"), "...", "peers are not invoked: must be null"
        elif server.stages > 1:
            yield ("servers", place, "stages"), server.stages, "a peer is one device: must be 1"
        elif server.replicas > (there := _devices(scenario, server.peers_of, models[0].variant)):
            rule = f"must be at most {there}, the devices of {server.peers_of} that have this model"
            yield ("servers", place, "replicas"), server.replicas, rule


def _devices(scenario: Scenario, name: str, variant: int) -> int:
    """How many clients of a group have a model, which are dealt to them in turn."""
    (group,) = (group for group in scenario.fleet if group.group == name)
    return len(range(variant, group.clients, group.model.variants))


def features_can_be_sent(scenario: Scenario) -> Iterator[Breach]:
    variants = {group.group: group.model.variants for group in scenario.fleet}
    names = list(scenario.server_models)
    for place, (path, model) in enumerate(server_models(scenario)):
        sender, at = model.features_of, (*path, "features_of")
        if sender is None:
            continue
        askers = [
            group.group
            for group in scenario.fleet
            if place in (model_of(scenario, option) for option in written(scenario, group))
        ]
        if sender not in variants:
            yield at, sender, f"there is no such group: {nearest(sender, [*variants])}"
        elif variants[sender] > 1:
            rule = f"features of {variants[sender]} models differ: fleet.{sender}.model.variants must be 1"
            yield at, sender, rule
        elif others := [name for name in askers if name != sender]:
            rule = f"{others[0]} may ask {names[place]}, but has no such features: give it other options"
            yield at, sender, rule
        elif any(part is not None for part in (model.of_group, model.file, model.answers)):
            yield at, sender, "is for a model that is trained: leave out of_group, file and answers"
        elif DATA_SETS[scenario.data.set].has_answers:
            yield at, sender, "a table has its answers already: must be null"
        elif model.image_size is not None:
            yield (*path, "image_size"), model.image_size, "features are no picture: must be null"
        elif (family := model_family(model.family)) and not family.surely_fits(1, 1, None):
            rule = f"features are no picture: must be one of {', '.join(_OF_VECTORS)}"
            yield (*path, "family"), model.family, rule


_OF_VECTORS = [family.name for family in MODEL_FAMILIES.values() if family.surely_fits(1, 1, None)]

PEER_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (
    models_of_groups_are_there,
    peers_are_devices,
    features_can_be_sent,
)
