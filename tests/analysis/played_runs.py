"""Runs of small scenarios with made-up models, as folders with all their results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
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

OF_HEADS = (  # clients that answer by heads from features of 256 bytes, personal from 80 s on
    "federation.learns=heads",
    "federation.dropout=0.3",
    "federation.heads={personalise_at_s: 80}",
    "fleet.*.reply=features",
    "fleet.*.link.reply_bytes=256",
)


def played_agreeing(name: str, path: Path) -> tuple[Path, dict[str, Any]]:
    """The same, where clients answer four samples of five as the server does."""
    tables = made_up(read(Path(__file__).parent / f"{name}.yaml"), samples=120).tables
    server, differ = tables.server_label, np.arange(120) % 5 == 0
    own = np.where(differ, (server + 1) % 10, server).astype(np.int16)
    groups = tuple(replace(table, client_label=own[None]) for table in tables.groups)
    return played(name, path, tables=replace(tables, groups=groups))


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
        heads=done.heads,
        hand_over=done.hand_over,
    )
    (path / "scenario.yaml").write_text(write(scenario))
    with pytest.MonkeyPatch.context() as patched:
        draw_plainly(patched)
        return path, analysis.finish(path)
