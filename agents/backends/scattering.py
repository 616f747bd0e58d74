"""Work scattered to shards in turn, results gathered, frozen models dealt to those that need them.
Used by `agents.fleet` for whatever shards share out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from agents.backends.in_process import Backend
from agents.models.frozen import Weights
from agents.plan import Plan, Variant
from sim.errors import RunFailed

Item = TypeVar("Item")
Result = TypeVar("Result")


def scatter(items: Sequence[Item], shards: int) -> list[Sequence[Item]]:
    """Items in turn to the shards."""
    return [items[shard::shards] for shard in range(shards)]


def gather(items: Sequence[Item], results: Sequence[Sequence[Result]]) -> dict[Item, Result]:
    """The results of scattered items by item, in the items' order: `results[i % shards][i // shards]`."""
    shards = len(results)
    return {item: results[place % shards][place // shards] for place, item in enumerate(items)}


def adopt(backend: Backend, needed: Sequence[Sequence[Variant]], weights: Mapping[Variant, Weights]) -> None:
    """Has each shard make live the frozen models that it needs. Those that the same shards need travel
    together, so each model is moved once, and only to them."""
    shards_of: dict[Variant, list[int]] = {}
    for shard, variants in enumerate(needed):
        for variant in variants:
            shards_of.setdefault(variant, []).append(shard)
    together: dict[tuple[int, ...], dict[Variant, Weights]] = {}
    for variant, shards in shards_of.items():
        together.setdefault(tuple(shards), {})[variant] = weights[variant]
    shared = {shards: backend.share(of_models) for shards, of_models in together.items()}
    backend.ask_shards(
        "adopt",
        [
            (variants, *(models for shards, models in shared.items() if shard in shards))
            for shard, variants in enumerate(needed)
        ],
    )


def same_on_all(plan: Plan, of_shards: Sequence[Mapping[Variant, str]]) -> dict[Variant, str]:
    """The hash of each model, as all shards that host it have it. Raises RunFailed if two differ."""
    hashes: dict[Variant, str] = {}
    for of_shard in of_shards:
        for variant, weight_hash in of_shard.items():
            if hashes.setdefault(variant, weight_hash) != weight_hash:
                group = plan.scenario.fleet[variant.group].group
                raise RunFailed("run", f"group {group}, model {variant.number}: shards hold two of it")
    return hashes
