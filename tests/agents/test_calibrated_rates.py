"""A bounded rate on real digits: calibrated on one pool, kept on another that no learner has seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_fleets import MISSING, NOISY, group, learn, model, scenario

from sim.messages import Learned
from sim.policy.calibration import curve
from sim.policy.prices import asked, decide_all
from sim.scenario.schema.fleet import Policy
from sim.world.traffic import shares


@pytest.fixture(scope="module")
def learned(cache: Path) -> Learned:
    """Clients that miss classes, clients in noise, and clients that meet classes of their own."""
    asked_for = scenario(
        group("narrow", clients=4, partition=MISSING, model=model(variants=2)),
        group("noisy", clients=4, partition=NOISY, traffic={"mix": "own"}, rejector={"per": "variant"}),
        group(
            "skewed", clients=4, traffic={"mix": "dirichlet", "alpha": 1.0}, policy={"score": "confidence"}
        ),
        epochs=1,
    )
    return learn(asked_for, cache)


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.8])
@pytest.mark.parametrize("kind", ["bounded_rate", "bounded_rate_thinned"])
def test_the_rate_holds_on_unseen_traffic(learned: Learned, kind: str, rate: float) -> None:
    """Within 3·√(ρ(1-ρ)(1/n_cal + 1/n)); samples that weigh more than others count for fewer (Kish)."""
    for g, score in enumerate(["l2h", "l2h", "confidence"]):
        if (kind, score) == ("bounded_rate_thinned", "confidence"):
            continue
        table, met, traffic = learned.tables.groups[g].score, learned.calibration[g], learned.traffic[g][0]
        row = np.arange(4, dtype=np.int32) % len(table)
        known = curve(table, row, met, np.arange(4))
        ruled = Policy.model_validate({"score": score, "price": {"kind": kind, "rate": rate}})
        sent = []
        for member in range(4):
            scores = table[row[member], traffic.positions]
            curves = [(np.arange(len(scores)), known)]
            result = decide_all(asked(ruled, scores, np.full(len(scores), 0.5), curves))
            sent.append(result.propensity @ shares(traffic, member))
        counts = [1 / np.sum(mean_shares(phase) ** 2) for phase in (met, traffic)]
        spread = np.sqrt(rate * (1 - rate) * (1 / counts[0] + 1 / counts[1]))
        assert abs(np.mean(sent) - rate) < 3 * spread


def mean_shares(phase) -> np.ndarray:
    return np.mean([shares(phase, member) for member in range(4)], axis=0)
