"""Runs of small scenarios with made-up models, as folders with all their results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from worlds import MadeUpLearner, made_up

import analysis
from sim.results.learned_files import write_learned
from sim.scenario import read, write
from sim.simulation import simulate
from sim.world.world import World


def played(name: str, path: Path, **known: Any) -> tuple[Path, dict[str, Any]]:
    """The folder and the summary of a scenario of this package; known: what else was learned."""
    path.mkdir()
    scenario = read(Path(__file__).parent / f"{name}.yaml")
    learned = replace(made_up(scenario, samples=120), **known)
    learner = MadeUpLearner(scenario, learned) if scenario.learns_in_run else None
    simulate(World(scenario), learned, path, learner=learner)
    write_learned(World(scenario), learned, learned.client_hashes, path)
    (path / "scenario.yaml").write_text(write(scenario))
    return path, analysis.finish(path)
