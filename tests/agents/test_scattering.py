"""Frozen models travel to the shards that need them, and to no others."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.backends.scattering import adopt
from agents.plan import Variant


class Watched:
    """A backend that writes down what it is given to move, and what each shard is asked with."""

    shards = 2

    def __init__(self) -> None:
        self.moved: list[set[Variant]] = []
        self.asked: list[tuple[Any, ...]] = []

    def share(self, value: Any) -> Any:
        self.moved.append(set(value))
        return value

    def ask_shards(self, method: str, calls: Any, _tick: Any = None) -> list[Any]:
        assert method == "adopt"
        self.asked = list(calls)
        return []


def test_a_model_is_moved_once_and_only_to_the_shards_that_need_it():
    one, two, both, nobody = (Variant(0, number) for number in range(4))
    weights = {v: {"w": np.full(1, v.number)} for v in (one, two, both, nobody)}
    backend: Any = Watched()
    adopt(backend, [[one, both], [both, two]], weights)
    assert sorted(backend.moved, key=min) == [{one}, {two}, {both}]
    for (variants, *parts), needed in zip(backend.asked, ([one, both], [both, two]), strict=True):
        assert variants == needed
        assert {name: of for part in parts for name, of in part.items()} == {v: weights[v] for v in needed}
