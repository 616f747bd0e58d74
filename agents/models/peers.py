"""Frozen models of clients where servers need them: they answer for others, or a server sees their features.
Asked once, as models that a user brings; comes before the learners start, so such a client is trained here
unless the cache has it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agents.brought_names import features_for, fronts_in, name_of, peers_in
from agents.models.client_cache import load_client, save_client
from agents.models.frozen import Weights, live_model, recipe_for, train
from agents.models.outputs import output_of
from agents.models.own_models import samples_asked
from agents.plan import Plan, Variant
from sim.errors import BadInput


def peers_say(plan: Plan, said: Mapping[str, Weights], cache: Path) -> dict[str, Weights]:
    """By the names of the servers' models that are clients'. said: of models that are brought."""
    found = {}
    for name, (place, number) in peers_in(plan.scenario).items():
        found[name] = _says(plan, Variant(place, number), said, cache)
    return found


def fronts_say(plan: Plan, said: Mapping[str, Weights], cache: Path) -> dict[str, Weights]:
    """The same for the servers' models that see features. Raises BadInput where one that is brought tells
    none."""
    found = {}
    for name, place in fronts_in(plan.scenario).items():
        front = _says(plan, Variant(place, 0), said, cache)
        if not front["features"].shape[1]:
            group = plan.scenario.fleet[place].group
            raise BadInput(f"{name}.features_of: {group}: its model tells no features")
        found[features_for(name)] = {part: front[part] for part in ("sample_id", "features")}
    return found


def _says(plan: Plan, variant: Variant, said: Mapping[str, Weights], cache: Path) -> Weights:
    """What a client makes of `samples_asked`."""
    if plan.is_brought(variant.group):
        return said[name_of(plan.scenario.fleet[variant.group])]
    recipe = recipe_for(plan, variant)
    frozen = load_client(recipe, cache)
    if frozen is None:
        (frozen,) = train([recipe])
        save_client(recipe, frozen, cache)
    asked = samples_asked(plan)
    output = output_of(live_model(plan, variant, frozen.weights), plan, asked)
    return {"sample_id": asked, "logits": output.logits.numpy(), "features": output.features.numpy()}
