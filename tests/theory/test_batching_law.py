"""How often devices transmit, how long requests wait for their batch: what Poisson arrivals promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from worlds import frame, group_of, made_up, scenario_of

from sim.engine.run import chunks
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.world import World

RATE_HZ, HORIZON_S, CLIENTS, SHARE = 2.0, 1500.0, 4, 0.4


def rows(**batch: Any) -> Any:
    """Four clients ask twice a second, and send two fifths of that by the draw."""
    group = group_of(
        clients=CLIENTS,
        arrivals={"process": {"kind": "poisson", "rate_hz": RATE_HZ}},
        policy={"score": "random", "price": {"kind": "threshold", "at": 1 - SHARE}},
        device={"batch": batch},
    )
    server = {"replicas": 8, "service": {"kind": "affine", "base_s": 0.01}}
    scenario = scenario_of(horizon_s=HORIZON_S, fleet=(group,), server=server)
    world = World(scenario)
    (chunk,) = chunks(world, made_up(scenario), ScenarioArrivals(world), HORIZON_S)
    return frame(chunk.requests)


def near(found: Any, expected: float, share: float) -> None:
    """Within four standard errors; share: of one observation's deviation over its mean."""
    assert np.mean(found) == pytest.approx(expected, rel=4 * share / np.sqrt(len(found)))


@pytest.mark.parametrize("size", [2, 5])
def test_batches_of_requests(size: int) -> None:
    """The i-th of N waits for N - i more, 1/rate each; of N nothing is sent with probability (1 - p)^N."""
    told = rows(size=size)
    sent = told[told["transmission"] >= 0]
    near(sent["held_s"], (size - 1) / 2 / RATE_HZ, 1.3)
    blocks = CLIENTS * RATE_HZ * HORIZON_S / size
    made = sent["transmission"].nunique()
    some = 1 - (1 - SHARE) ** size
    assert made == pytest.approx(blocks * some, abs=4 * np.sqrt(blocks))
    near(sent.groupby("transmission").size(), size * SHARE / some, 0.6)


@pytest.mark.parametrize("size", [2, 5])
def test_batches_of_sends(size: int) -> None:
    """All are full, and sends come at the thinned rate."""
    told = rows(size=size, of="sends")
    sent = told[told["transmission"] >= 0]
    assert set(sent.groupby("transmission").size()) == {size}
    near(sent["held_s"], (size - 1) / 2 / (SHARE * RATE_HZ), 1.3)
    assert len(told[told["deferred"]]) - len(sent) < size * CLIENTS


def test_batches_that_wait_and_never_fill() -> None:
    """The first waits w; of those that come meanwhile, at rate r, each is as likely anywhere in w: a batch is
    of 1 + r·w on average, and they wait w/2."""
    wait_s, rate_hz = 3.0, SHARE * RATE_HZ
    sent = rows(size=1000, of="sends", wait_s=wait_s).query("transmission >= 0")
    near(sent.groupby("transmission").size(), 1 + rate_hz * wait_s, 0.5)
    assert sent.groupby("transmission")["held_s"].max().to_numpy() == pytest.approx(wait_s)
    mean_s = (wait_s + rate_hz * wait_s * wait_s / 2) / (1 + rate_hz * wait_s)
    near(sent["held_s"], mean_s, 0.6)
