"""Work scattered to shards in turn, and results gathered: where something lies follows from its place.
Used by `agents.fleet` for whatever shards share out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def scatter(items: Sequence[Item], shards: int) -> list[Sequence[Item]]:
    """Items in turn to the shards."""
    return [items[shard::shards] for shard in range(shards)]


def gather(items: Sequence[Item], results: Sequence[Sequence[Result]]) -> dict[Item, Result]:
    """The results of scattered items by item, in the items' order: `results[i % shards][i // shards]`."""
    shards = len(results)
    return {item: results[place % shards][place // shards] for place, item in enumerate(items)}
