"""When requests arrive: for every chunk of virtual time the instants and clients, drawn by block.
`sim.engine` asks once per chunk; nothing here depends on the policy, so policies share their traffic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sim.population import Population
from sim.scenario import Scenario
from sim.streams import stream


@dataclass(frozen=True)
class Arrivals:
    """Requests that arrive in one chunk, by client and then by time: at_s float64 (n,), client int32 (n,)."""

    at_s: NDArray[np.float64]
    client: NDArray[np.int32]


class ArrivalSource(Protocol):
    """Gives the arrivals of chunk `index`, which covers [start_s, end_s), whatever was asked before."""

    def draw(self, index: int, start_s: float, end_s: float) -> Arrivals: ...


class PoissonArrivals:
    """Poisson arrivals at a constant rate per client.

    A block of m clients gets N ~ Poisson(m·rate·chunk) requests at uniform instants and uniform clients
    (the superposition theorem read backwards). A last, shorter chunk is the full one cut off at `end_s`,
    so a longer horizon adds requests and changes none.
    """

    def __init__(self, scenario: Scenario, clients: Population, chunk_s: float) -> None:
        self._seed = scenario.seed
        self._chunk_s = chunk_s
        self._blocks = clients.blocks()
        self._rates = [group.arrivals.process.rate_hz for group in scenario.fleet]  # type: ignore[union-attr]

    def draw(self, index: int, start_s: float, end_s: float) -> Arrivals:
        times, clients = [], []
        for block in self._blocks:
            draw = stream(self._seed, "arrivals", block.index, index)
            count = draw.poisson(block.size * self._rates[block.group] * self._chunk_s)
            times.append(start_s + draw.random(count) * self._chunk_s)
            clients.append(draw.integers(block.first, block.first + block.size, count, dtype=np.int32))
        return in_order(np.concatenate(times), np.concatenate(clients), end_s)


def in_order(at_s: NDArray[np.float64], client: NDArray[np.int32], end_s: float) -> Arrivals:
    """Arrivals before `end_s`, sorted by client and then by time."""
    kept = at_s < end_s
    at_s, client = at_s[kept], client[kept]
    order = np.lexsort((at_s, client))
    return Arrivals(at_s[order], client[order])
