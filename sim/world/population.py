"""Who the clients are: the numbering of clients, groups, variants and blocks.
Client ids run through the groups in the order of the scenario; a block is 64 clients of one group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sim.scenario import Scenario

BLOCK = 64
CLIENT_SHIFT = 32  # request_id = client << 32 | k


@dataclass(frozen=True)
class Block:
    """Clients [first, first + size) of one group; `index` counts the blocks of the whole fleet."""

    index: int
    group: int
    first: int
    size: int


@dataclass(frozen=True)
class Population:
    """Per client: its group (int16) and its variant within the group (int32); per group its first client."""

    group: NDArray[np.int16]
    variant: NDArray[np.int32]
    first: tuple[int, ...]

    @property
    def size(self) -> int:
        return len(self.group)

    def blocks(self) -> list[Block]:
        """All blocks in order of their clients."""
        starts = [
            (group, first)
            for group, (begin, end) in enumerate(zip(self.first, [*self.first[1:], self.size], strict=True))
            for first in range(begin, end, BLOCK)
        ]
        ends = [first for _, first in starts[1:]] + [self.size]
        return [
            Block(index, group, first, end - first)
            for index, ((group, first), end) in enumerate(zip(starts, ends, strict=True))
        ]


def population(scenario: Scenario) -> Population:
    """Numbers the clients of a scenario; variants are dealt to a group's clients in turn."""
    sizes = [group.clients for group in scenario.fleet]
    first = np.concatenate([[0], np.cumsum(sizes)])
    variant = [np.arange(g.clients, dtype=np.int32) % g.model.variants for g in scenario.fleet]
    return Population(
        group=np.repeat(np.arange(len(sizes), dtype=np.int16), sizes),
        variant=np.concatenate(variant),
        first=tuple(int(f) for f in first[:-1]),
    )
