"""What frozen models of clients say where they answer for others: asked once, as models that a user brings.
Comes before the learners start, so such a client is trained here unless the cache has it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agents.brought_names import name_of, peers_in
from agents.models.client_cache import load_client, save_client
from agents.models.frozen import Weights, live_model, recipe_for, train
from agents.models.outputs import output_of
from agents.models.own_models import samples_asked
from agents.plan import Plan, Variant


def peers_say(plan: Plan, said: Mapping[str, Weights], cache: Path) -> dict[str, Weights]:
    """By the names of the servers' models that are clients'. said: of models that are brought."""
    found = {}
    for name, (place, number) in peers_in(plan.scenario).items():
        if plan.is_brought(place):
            found[name] = said[name_of(plan.scenario.fleet[place])]
            continue
        variant = Variant(place, number)
        recipe = recipe_for(plan, variant)
        frozen = load_client(recipe, cache)
        if frozen is None:
            (frozen,) = train([recipe])
            save_client(recipe, frozen, cache)
        asked = samples_asked(plan)
        output = output_of(live_model(plan, variant, frozen.weights), plan, asked)
        found[name] = {
            "sample_id": asked,
            "logits": output.logits.numpy(),
            "features": output.features.numpy(),
        }
    return found
