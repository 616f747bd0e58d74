"""Runs of small scenarios with made-up models, as folders with all their results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from plain import draw_plainly
from worlds import MadeUpLearner, made_up

import analysis
from sim.results.learned_files import write_learned
from sim.scenario import read, write
from sim.simulation import simulate
from sim.world.world import World

OF_TWO = {  # models that began with what clients together say, as the table `warm_start` has them
    "model": ["small", "large"],
    "clients": [6, 6],
    "samples": [500, 500],
    "labelled": [25, 25],
    "bytes_up": [144_000, 144_000],
    "ensemble_accuracy": [0.75, 0.75],
    "epochs": [20, 30],
    "kept": [10, 30],
    "kl_before": [0.5, 0.625],
    "kl": [0.125, 0.0625],
    "agreement": [0.875, 0.9375],
}


def played(name: str, path: Path, changes: tuple[str, ...] = (), **known: Any) -> tuple[Path, dict[str, Any]]:
    """The folder and the summary of a scenario of this package; known: what else was learned.
    changes: as `--set` has them. Its pictures are empty."""
    path.mkdir()
    scenario = read(Path(__file__).parent / f"{name}.yaml", list(changes))
    learned = replace(made_up(scenario, samples=120), **known)
    learner = MadeUpLearner(scenario, learned) if scenario.learns_in_run else None
    done = simulate(World(scenario), learned, path, learner=learner)
    write_learned(
        World(scenario),
        learned,
        learned.client_hashes,
        path,
        prototypes=done.prototypes,
        hand_over=done.hand_over,
    )
    (path / "scenario.yaml").write_text(write(scenario))
    with pytest.MonkeyPatch.context() as patched:
        draw_plainly(patched)
        return path, analysis.finish(path)
