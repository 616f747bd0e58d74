"""The law of shared links against runs of its own queue, and where it says nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from predicted_runs import Laws
from worlds import group_of, made_up, scenario_of

import analysis
from analysis.run_folder.traffic import traffic_of
from analysis.theory import predicted
from analysis.theory.shared_links import on_link
from sim.results.learned_files import write_learned
from sim.scenario import write
from sim.simulation import simulate
from sim.world.world import World


def test_the_formulas():
    """M/D/1 and M/M/1-like extremes: the queue of Pollaczek and Khinchine, the shares of Kleinrock."""
    one = np.array([0.5]), np.array([1.0])
    assert on_link(*one, "fifo") == (0.5, pytest.approx(0.5 + 0.25))
    assert on_link(*one, "ps") == (0.5, pytest.approx(1.0))
    mixed = np.array([0.5, 0.05]), np.array([0.5, 5.0])
    assert on_link(*mixed, "fifo")[1] == pytest.approx(0.5 + 0.55 * (0.125 + 1.25) / (2 * 0.5))
    assert on_link(*mixed, "ps")[1] == pytest.approx(1.0)
    assert on_link(np.array([2.0]), np.array([1.0]), "ps") == (1.0, np.inf)


def laws(folder: Path, discipline: str, **changes: Any) -> Laws:
    fleet = tuple(
        group_of(
            name,
            clients=20,
            arrivals={"process": {"kind": "poisson", "rate_hz": rate_hz / 20}},
            link={"payload_bytes": size, "over": ("cell",)},
            **changes,
        )
        for name, rate_hz, size in (("small", 1.2, 250), ("large", 0.2, 1500))
    )
    scenario = scenario_of(
        horizon_s=4_000.0,
        warm_up_s=100.0,
        fleet=fleet,
        server={"replicas": 4, "service": {"kind": "affine", "base_s": 0.01}},
        network=({"link": "cell", "bandwidth_bps": 8000.0, "discipline": discipline},),
    )
    learned = made_up(scenario)
    simulate(World(scenario), learned, folder)
    write_learned(World(scenario), learned, learned.client_hashes, folder)
    (folder / "scenario.yaml").write_text(write(scenario))
    return Laws(predicted(traffic_of(analysis.load_run(folder))))


@pytest.mark.parametrize("discipline", ["fifo", "ps"])
def test_a_run_agrees(discipline, tmp_path):
    found = laws(tmp_path, discipline)
    found.assert_agree("shared_links")
    assert len(found.by_law["shared_links"]) == 2
    assert "waiting" not in found.by_law, (
        "what reaches the server has passed a link, and is no Poisson process"
    )


def test_it_says_nothing_of_retries(tmp_path):
    assert laws(tmp_path, "fifo", timeout_s=1.0, retry={"attempts": 2}).by_law == {}
