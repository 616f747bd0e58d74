"""Work scattered to shards in turn, and results gathered: where something lies follows from its place.
Used by `agents.fleet` for whatever shards share out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

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


def same_on_all(plan: Plan, of_shards: Sequence[Mapping[Variant, str]]) -> dict[Variant, str]:
    """The hash of each model, as all shards that host it have it. Raises RunFailed if two differ."""
    hashes: dict[Variant, str] = {}
    for of_shard in of_shards:
        for variant, weight_hash in of_shard.items():
            if hashes.setdefault(variant, weight_hash) != weight_hash:
                group = plan.scenario.fleet[variant.group].group
                raise RunFailed("run", f"group {group}, model {variant.number}: shards hold two of it")
    return hashes
