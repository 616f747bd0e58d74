"""What the learners made, as files of a run folder: samples, clients, partitions, learning, studies.
Written once per run, beside the tables of `sim.engine`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sim.columns import (
    CLIENTS,
    DEFERRAL,
    LEARNING,
    PARTITIONS,
    SAMPLES,
    STUDY,
    STUDY_BOUNDED,
    STUDY_CURVES,
    STUDY_LOSSES,
)
from sim.messages import Learned
from sim.population import population
from sim.run_folder import table_of, write_table
from sim.scenario import POOLS, Scenario

Hashes = tuple[tuple[str, ...], ...]


def write_learned(scenario: Scenario, learned: Learned, hashes_after: Hashes, folder: Path) -> None:
    """Writes what was learned; `hashes_after`: of the client models after the run."""
    samples = learned.samples
    write_table(
        folder / "samples.parquet",
        table_of(
            {
                "sample_id": samples.sample_id,
                "base_id": samples.base_id,
                "view": samples.view,
                "label": samples.label,
                "pool": [POOLS[pool] for pool in samples.pool],
                "held_out": samples.held_out,
            },
            SAMPLES,
        ),
    )
    write_table(folder / "clients.parquet", table_of(_clients(scenario, learned, hashes_after), CLIENTS))
    write_table(folder / "learning.parquet", table_of(learned.learning, LEARNING))
    write_table(folder / "deferral.parquet", table_of(learned.deferral, DEFERRAL))
    write_table(folder / "study.parquet", table_of(learned.study, STUDY))
    write_table(folder / "study_curves.parquet", table_of(learned.study_curves, STUDY_CURVES))
    write_table(folder / "study_bounded.parquet", table_of(learned.study_bounded, STUDY_BOUNDED))
    write_table(folder / "study_losses.parquet", table_of(learned.study_losses, STUDY_LOSSES))
    write_table(folder / "partitions.parquet", table_of(learned.partitions, PARTITIONS))


def _clients(scenario: Scenario, learned: Learned, hashes_after: Hashes) -> dict[str, Any]:
    clients = population(scenario)
    block = np.concatenate([np.full(b.size, b.index) for b in clients.blocks()])
    accuracy, server_accuracy = [], []
    for g, tables in enumerate(learned.tables.groups):
        choice = learned.traffic[g][learned.samples.held_out[learned.traffic[g]]]
        label = learned.samples.label[choice]
        accuracy.append((tables.client_label[:, choice] == label).mean(axis=1))
        server_accuracy.append((learned.tables.server_label[choice] == label).mean())
    pairs = list(zip(clients.group.tolist(), clients.variant.tolist(), strict=True))
    return {
        "client_id": np.arange(clients.size),
        "group": [scenario.fleet[g].group for g, _ in pairs],
        "variant": clients.variant,
        "block": block,
        "hash_before": [learned.client_hashes[g][v] for g, v in pairs],
        "hash_after": [hashes_after[g][v] for g, v in pairs],
        "held_out_accuracy": [float(accuracy[g][v]) for g, v in pairs],
        "server_held_out_accuracy": [float(server_accuracy[g]) for g, _ in pairs],
    }
