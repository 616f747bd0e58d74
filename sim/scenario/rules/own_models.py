"""Rules of models that a user brings as files: they are used as they are, and nothing trains them.
Part of the table in `sim.scenario.rules.checks`; whether a file is such a model `agents.checks` finds out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sim.registry.data_sets import DATA_SETS
from sim.scenario.rules.servers import server_models
from sim.scenario.schema.client_data import ClientModel
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.server import ServerModel
from sim.scenario.text.draft import Path

Breach = tuple[Path, Any, str]
ENDINGS = (".safetensors", ".pt", ".pth", ".onnx")


def models_by_file_are_models(scenario: Scenario) -> Iterator[Breach]:
    has_answers = DATA_SETS[scenario.data.set].has_answers
    for path, model in _models(scenario):
        if model.file is None:
            if model.scaling is not None:
                yield (*path, "scaling"), "...", "is for a model of your own: needs file"
            continue
        if has_answers:
            yield (*path, "file"), model.file, "a table has the answers already: must be null"
        elif not model.file.endswith(ENDINGS):
            yield (*path, "file"), model.file, f"must end in {', '.join(ENDINGS)}"
        if model.scaling is not None and len(model.scaling.mean) != len(model.scaling.std):
            rule = f"must have as many numbers as mean, {len(model.scaling.mean)}"
            yield (*path, "scaling", "std"), model.scaling.std, rule
        if isinstance(model, ClientModel) and model.variants > 1:
            yield (*path, "variants"), model.variants, "a file is one model: must be 1"


def a_server_by_file_is_not_trained(scenario: Scenario) -> Iterator[Breach]:
    is_own = any(model.file is not None for model in scenario.server_models.values())
    if is_own and scenario.training.online is not None:
        rule = "the server's model is your own, and is not trained: must be null"
        yield ("training", "online"), "...", rule


def _models(scenario: Scenario) -> Iterator[tuple[Path, ClientModel | ServerModel]]:
    yield from server_models(scenario)
    for index, group in enumerate(scenario.fleet):
        yield ("fleet", index, "model"), group.model


OWN_MODEL_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (
    models_by_file_are_models,
    a_server_by_file_is_not_trained,
)
