"""The search for capacity against Erlang C: as many servers as the formula asks for, in simulated M/M/c."""

from __future__ import annotations

from functools import cache

import pytest
from formulas import erlang_c
from queues import queue, run

from analysis.statistics.capacity import Slo, decide, search

ERLANGS = 2.4


def mean_wait(servers: int) -> float:
    """In units of the mean service time."""
    return erlang_c(servers, ERLANGS) / (servers - ERLANGS)


@cache
def simulated(servers: int, seed: int) -> float:
    world = queue(ERLANGS / servers, "horizon_s=400", servers=servers)
    return float(run(world.model_copy(update={"seed": seed})).waits().mean())


@pytest.mark.slow
@pytest.mark.parametrize("enough", [4, 5, 6])
def test_as_many_servers_as_erlang_c_asks_for(enough: int) -> None:
    """The limit lies half-way, in ratio, between the waits with just enough servers and with one fewer."""
    limit = (mean_wait(enough) * mean_wait(enough - 1)) ** 0.5
    slo = Slo("wait", True, limit)

    def ask(servers: int):
        return decide(servers, lambda n: [simulated(servers, seed) for seed in range(n)], slo, 0.95, 8)

    answer = search(3, 10, True, ask, slo)
    assert answer.best is not None
    assert answer.best.number == enough
    assert answer.violations == ()
    verdicts = {one.number: one.verdict for one in answer.decisions}
    assert verdicts[enough - 1] == "not met"
