"""What the learners made, as files of a run folder: samples, clients, partitions, learning, studies.
Written once per run, beside the tables of `sim.simulation`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sim.messages import Learned
from sim.results.columns import (
    CLIENTS,
    DEFERRAL,
    LEARNING,
    PARTITIONS,
    RELIABILITY,
    SAMPLES,
    STUDY,
    STUDY_BOUNDED,
    STUDY_CURVES,
    STUDY_LOSSES,
    WORK,
)
from sim.results.columns_learned import HAND_OVER, HEADS, PROTOTYPES, WARM_START, federation
from sim.results.federation import rounds_together
from sim.results.run_folder import MEASURED, table_of, write_json, write_table
from sim.scenario import POOLS
from sim.scenario.files.measurements import measurements
from sim.world.traffic import shares
from sim.world.world import World

Hashes = tuple[tuple[str, ...], ...]


def write_learned(
    world: World,
    learned: Learned,
    hashes_after: Hashes,
    folder: Path,
    later: Mapping[str, list[object]] | None = None,
    prototypes: Mapping[str, list[object]] | None = None,
    heads: Mapping[str, list[object]] | None = None,
    hand_over: Mapping[str, list[object]] | None = None,
) -> None:
    """Writes what was learned, what became of rounds in which clients learned together, and what files of
    measured durations amount to, where the scenario names any.

    hashes_after: of the client models after the run. later, prototypes, heads, hand_over: rows of
    `learning` and of the tables of these names that the run itself gave.
    """
    learning = {name: [*values, *(later or {}).get(name, [])] for name, values in learned.learning.items()}
    samples = learned.samples
    world = world.sharing(learned.shared_numbers)
    if world.federated is not None:
        rows = rounds_together(world)
        sorts = (name in rows for name in ("broken", "dropped", "uplinks", "least_steps"))
        write_table(folder / "federation.parquet", table_of(rows, federation(*sorts)))
    if world.scenario.shares_prototypes:
        merged = prototypes or {name: [] for name in PROTOTYPES.names}
        write_table(folder / "prototypes.parquet", table_of(merged, PROTOTYPES))
    if world.scenario.shares_heads:
        write_table(folder / "heads.parquet", table_of(heads or {name: [] for name in HEADS.names}, HEADS))
    if (federation_of := world.scenario.federation) is not None and federation_of.hands_over:
        handed = hand_over or {name: [] for name in HAND_OVER.names}
        write_table(folder / "hand_over.parquet", table_of(handed, HAND_OVER))
    if learned.warm_start:
        write_table(folder / "warm_start.parquet", table_of(learned.warm_start, WARM_START))
    if known := measurements(world.scenario):
        write_json(folder / MEASURED, known)
    of_samples = {
        "sample_id": samples.sample_id,
        "base_id": samples.base_id,
        "view": samples.view,
        "label": samples.label,
        "pool": [POOLS[pool] for pool in samples.pool],
        "held_out": samples.held_out,
    }
    own, schema = _work(world, learned), SAMPLES
    for name in own:
        schema = schema.append(WORK.with_name(name))
    write_table(folder / "samples.parquet", table_of(of_samples | own, schema))
    write_table(folder / "clients.parquet", table_of(_clients(world, learned, hashes_after), CLIENTS))
    write_table(folder / "learning.parquet", table_of(learning, LEARNING))
    write_table(folder / "deferral.parquet", table_of(learned.deferral, DEFERRAL))
    write_table(folder / "study.parquet", table_of(learned.study, STUDY))
    write_table(folder / "study_curves.parquet", table_of(learned.study_curves, STUDY_CURVES))
    write_table(folder / "study_bounded.parquet", table_of(learned.study_bounded, STUDY_BOUNDED))
    write_table(folder / "study_losses.parquet", table_of(learned.study_losses, STUDY_LOSSES))
    write_table(folder / "partitions.parquet", table_of(learned.partitions, PARTITIONS))
    write_table(folder / "reliability.parquet", table_of(learned.reliability, RELIABILITY))


def _clients(world: World, learned: Learned, hashes_after: Hashes) -> dict[str, Any]:
    clients, fleet = world.population, world.scenario.fleet
    block = np.concatenate([np.full(b.size, b.index) for b in clients.blocks()])
    most = int(clients.variant.max()) + 1
    _, first, kind = np.unique(
        clients.group.astype(np.int64) * most + clients.variant, return_index=True, return_inverse=True
    )
    kinds = list(zip(clients.group[first].tolist(), clients.variant[first].tolist(), strict=True))
    accuracy = _held_out_accuracies(world, learned, kinds, kind)
    return {
        "client_id": np.arange(clients.size),
        "group": pa.array([group.group for group in fleet]).take(pa.array(clients.group)),
        "variant": clients.variant,
        "block": block,
        "hash_before": pa.array([learned.client_hashes[g][v] for g, v in kinds]).take(pa.array(kind)),
        "hash_after": pa.array([hashes_after[g][v] for g, v in kinds]).take(pa.array(kind)),
        "held_out_accuracy": accuracy[:, 0],
        "server_held_out_accuracy": accuracy[:, 1],
        "outages": _hit_by(world),
    }


def _held_out_accuracies(
    world: World, learned: Learned, kinds: list[tuple[int, int]], kind: NDArray[np.intp]
) -> NDArray[np.float64]:
    """`_accuracies` of each client, (clients, 2). kinds: group and variant of each kind of clients; kind: of
    each client, (clients,). Those of one kind share them where its group's clients are sent the same."""
    model = [options[0].model for options in world.options]
    found = np.array([_accuracies(learned, model[g], g, v, 0) for g, v in kinds])[kind]
    clients = world.population
    for g, phases in enumerate(learned.traffic):
        if len(phases[0].upto) > 1:
            for client in np.flatnonzero(clients.group == g).tolist():
                variant, member = int(clients.variant[client]), client - clients.first[g]
                found[client] = _accuracies(learned, model[g], g, variant, member)
    return found


def _work(world: World, learned: Learned) -> dict[str, Any]:
    """The work of samples as columns: `work`, of several models `work.NAME`; none where all are alike."""
    work = learned.samples.work
    if work is None or work.ndim == 1:
        return {} if work is None else {WORK.name: work}
    return {f"{WORK.name}.{name}": own for name, own in zip(world.scenario.server_models, work, strict=True)}


def _hit_by(world: World) -> list[str]:
    """Per client the outages that hit its link, ascending."""
    hit = [""] * world.population.size
    for number, one in enumerate(world.outage_times):
        for client in one.clients.tolist():
            hit[client] = f"{hit[client]} {number}".strip()
    return hit


def _accuracies(learned: Learned, model: int, group: int, variant: int, member: int) -> tuple[float, float]:
    """Of a client's and of a server's model, over the held-out half of what the client is sent at first.

    Samples count as often as the client is sent them; NaN if it is sent none of that half.
    """
    phase = learned.traffic[group][0]
    held_out = learned.samples.held_out[phase.positions]
    choice, weight = phase.positions[held_out], shares(phase, member)[held_out]
    if not weight.sum():
        return float("nan"), float("nan")
    label, tables = learned.samples.label[choice], learned.tables
    of_group, graded = tables.groups[group], tables.server_quality
    if graded is None or of_group.quality is None:
        right = (
            of_group.client_label[variant, choice] == label,
            np.atleast_2d(tables.server_label)[model, choice] == label,
        )
    else:
        right = of_group.quality[variant, choice], np.atleast_2d(graded)[model, choice]
    client, server = (float(np.average(answer, weights=weight)) for answer in right)
    return client, server
