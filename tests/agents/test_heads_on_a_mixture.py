"""Runs on a Gaussian mixture, where the gain of heads of one's own is known: Bayes with own class shares.

The server's linear model is Bayes for classes of one Gaussian each that come alike; each client meets them in
a mix of its own, and the best head adds the logarithm of its shares.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_fleets import group, model, scenario

from agents.data.mixtures import mixture_of
from agents.fleet import open_fleet
from sim.engine.choice import EnginePath
from sim.engine.run import Run
from sim.scenario import Scenario
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.windows import EvenWindows
from sim.world.world import World

CLASSES, CLIENTS = 4, 10


def asked(mix: dict[str, Any], merge: str) -> Scenario:
    devices = group(
        clients=CLIENTS,
        model=model(),
        traffic=mix,
        arrivals={"process": {"kind": "poisson", "rate_hz": 4.0}},
        policy={"score": "confidence", "price": {"kind": "always_remote"}},
        reply="features",
        link={"reply_bytes": 4 * CLASSES},
    )
    plain = scenario(devices, epochs=20, server="linear", horizon_s=240.0).model_dump()
    server = {"model": {"family": "linear"}, "service": {"kind": "affine", "base_s": 0.005}}
    own = {"learns": "heads", "every_s": 20.0, "steps": 80, "step_s": 0.001, "wait_s": 5.0, "merge": merge}
    own |= {"among": "group", "heads": {"learning_rate": 0.1, "batch": 32}}
    mixture = {"classes": CLASSES, "dimensions": 4, "components": 1, "separation": 2.0}
    data = {"set": "gaussian_mixture", "samples": 16_000, "mixture": mixture}
    data["pools"] = (0.05, 0.4, 0.05, 0.05, 0.45)
    return Scenario.model_validate(
        plain | {"server": server, "data": data, "fleet": (devices,), "federation": own}
    )


def played(what: Scenario, cache: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Held-out requests of the second half, and the class shares of each client, (clients, classes)."""
    with open_fleet(what, workers=0, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        learned, world = fleet.decide(), World(what)
        path = EnginePath("simpy", "")
        run = Run(world, learned, ScenarioArrivals(world), fleet, path, EvenWindows(60.0))
        parts = []
        while not run.is_over:
            parts.append(run.advance().requests.to_pandas())
        upto = fleet._plan.phases[0][0].upto
    rows = pd.concat(parts)
    shares = np.diff(upto, axis=1, prepend=0.0)
    shares = shares if len(shares) == CLIENTS else np.full((CLIENTS, CLASSES), 1 / CLASSES)
    late = rows["held_out"] & (rows["arrived_at_s"] > 120.0) & (rows["outcome"] == "remote")
    return rows[late], shares


def gains_of_bayes(what: Scenario, shares: np.ndarray) -> np.ndarray:
    """Of each client by how much adding the log of its shares beats the Bayes rule of classes alike."""
    points, label = mixture_of(what).draw(60_000, seed=9)
    eta = mixture_of(what).posterior(points)
    found = []
    for own in shares:
        weight = own[label] * CLASSES
        hits = [(rule.argmax(axis=1) == label) @ weight / len(label) for rule in (eta * own, eta)]
        found.append(hits[0] - hits[1])
    return np.array(found)


def seen(rows: pd.DataFrame) -> tuple[float, float]:
    """The gain over the server's own layer, and its standard error over requests."""
    better = (rows["head_label"] == rows["label"]) * 1.0 - (rows["server_label"] == rows["label"])
    return float(better.mean()), float(better.std() / np.sqrt(len(better)))


@pytest.mark.slow
def test_under_label_shift_heads_gain_what_theory_says(tmp_path: Path):
    """Law 1: at most what Bayes with own shares gains, and most of that after some hundred labels."""
    what = asked({"mix": "dirichlet", "alpha": 0.3}, "none")
    rows, shares = played(what, tmp_path)
    each = gains_of_bayes(what, shares)
    predicted = float(each[rows["client_id"]].mean())
    gain, error = seen(rows)
    assert predicted > 0.08
    assert gain == pytest.approx(predicted, abs=4 * error + 0.2 * predicted)


@pytest.mark.slow
@pytest.mark.parametrize("merge", ["none", "average"])
def test_clients_that_are_alike_gain_nothing(merge: str, tmp_path: Path):
    """Law 2: over a server that is Bayes neither kind of head gains beyond chance."""
    rows, _ = played(asked({"mix": "all"}, merge), tmp_path)
    gain, error = seen(rows)
    assert -0.03 < gain < 3 * error
