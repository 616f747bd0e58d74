"""Rules about models of the servers that are parts of another one: which that is, and what it can be.
Part of the table in `checks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sim.registry.data_sets import DATA_SETS
from sim.registry.families import MODEL_FAMILIES, model_family
from sim.scenario.rules.servers import server_models
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.server import ServerModel
from sim.scenario.text.draft import Path
from sim.scenario.text.wording import nearest

Breach = tuple[Path, Any, str]
OWN = ("image_size", "file", "answers", "of_group", "features_of")
OF_NESTED = ("share", "imitates")


def parts_have_a_whole(scenario: Scenario) -> Iterator[Breach]:
    names = scenario.server_models
    for path, model in server_models(scenario):
        if model.nested_in is None:
            for key in OF_NESTED:
                if getattr(model, key) != getattr(ServerModel(), key):
                    yield (*path, key), getattr(model, key), "is of a part of another model: give nested_in"
            continue
        at, whole = (*path, "nested_in"), names.get(model.nested_in)
        if whole is None or whole is model:
            others = [name for name, one in names.items() if one is not model and one.nested_in is None]
            hint = nearest(model.nested_in, others) if others else "must be null"
            yield at, model.nested_in, f"there is no such other model: {hint}"
        elif whole.nested_in is not None:
            yield at, model.nested_in, f"{model.nested_in} is itself a part, of {whole.nested_in}"
        elif any(getattr(one, key) is not None for one in (model, whole) for key in OWN[1:]):
            rule = f"both are trained on samples: leave out {', '.join(OWN[1:])} of both"
            yield at, model.nested_in, rule
        elif model.image_size is not None:
            yield (*path, "image_size"), model.image_size, "is the whole's: must be null"
        elif model.family not in (ServerModel().family, whole.family):
            rule = f"is a part of a model of {whole.family}: leave it out"
            yield (*path, "family"), model.family, rule
        elif (family := model_family(whole.family)) and not family.has_widths:
            having = ", ".join(one.name for one in MODEL_FAMILIES.values() if one.has_widths)
            yield at, model.nested_in, f"is of family {whole.family}: parts are of one of {having}"


def parts_learn_with_their_whole(scenario: Scenario) -> Iterator[Breach]:
    if all(model.nested_in is None for model in scenario.server_models.values()):
        return
    training = scenario.training
    if DATA_SETS[scenario.data.set].has_answers:
        rule = "is for models that are trained: a table has its answers already"
        yield ("data", "set"), scenario.data.set, f"models.*.nested_in {rule}"
    if training.specialise:
        yield ("training", "specialise"), True, "parts and their whole share weights: must be false"
    if training.warm_start is not None:
        yield ("training", "warm_start"), "...", "not yet with models that are nested: must be null"


NESTED_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (
    parts_have_a_whole,
    parts_learn_with_their_whole,
)
