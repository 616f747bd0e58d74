"""What the learners made, as files: samples and clients with the declared columns and the right values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from worlds import frame, group_of, made_up, scenario_of

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
)
from sim.results.learned_files import write_learned
from sim.world.world import World

SCENARIO = scenario_of(fleet=(group_of("a", clients=70, model={"variants": 3}), group_of("b", clients=2)))


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory):
    learned = made_up(SCENARIO)
    learned = replace(
        learned,
        learning={name: [] for name in LEARNING.names},
        deferral={name: [] for name in DEFERRAL.names},
        study={name: [] for name in STUDY.names},
        study_curves={name: [] for name in STUDY_CURVES.names},
        study_bounded={name: [] for name in STUDY_BOUNDED.names},
        study_losses={name: [] for name in STUDY_LOSSES.names},
        partitions={name: [] for name in PARTITIONS.names},
        reliability={name: [] for name in RELIABILITY.names},
    )
    folder = tmp_path_factory.mktemp("learned")
    after = tuple(tuple(f"after {one}" for one in group) for group in learned.client_hashes)
    write_learned(World(SCENARIO), learned, after, folder)
    return learned, {path.stem: pq.read_table(path) for path in folder.iterdir()}


def test_all_tables_are_written_with_the_declared_columns(tables):
    schemas = {"samples": SAMPLES, "clients": CLIENTS, "learning": LEARNING, "deferral": DEFERRAL}
    schemas["study_bounded"] = STUDY_BOUNDED
    schemas |= {"study": STUDY, "study_curves": STUDY_CURVES, "study_losses": STUDY_LOSSES}
    schemas |= {"partitions": PARTITIONS, "reliability": RELIABILITY}
    assert set(tables[1]) == set(schemas)
    for name, schema in schemas.items():
        assert tables[1][name].schema.equals(schema)


def test_samples_name_their_pool(tables):
    learned, written = tables
    samples = frame(written["samples"])
    assert set(samples["pool"]) == {"traffic"}
    for name in ("sample_id", "base_id", "view", "label", "held_out"):
        assert samples[name].tolist() == getattr(learned.samples, name).tolist()


def test_every_client_has_its_model_its_block_and_its_accuracy(tables):
    """Accuracy over the held-out half of the traffic of the client's group, by the client's own model."""
    learned, written = tables
    clients = frame(written["clients"])
    assert clients["client_id"].tolist() == list(range(72))
    assert clients["group"].tolist() == ["a"] * 70 + ["b"] * 2
    assert clients["variant"].tolist() == [n % 3 for n in range(70)] + [0, 0]
    assert clients["block"].tolist() == [0] * 64 + [1] * 6 + [2] * 2
    assert clients["hash_before"][4] == learned.client_hashes[0][1]
    assert clients["hash_after"][71] == f"after {learned.client_hashes[1][0]}"
    for row, (g, variant) in {1: (0, 1), 71: (1, 0)}.items():
        seen = [i for i in learned.traffic[g][0].positions.tolist() if learned.samples.held_out[i]]
        label = learned.samples.label[seen]
        own = learned.tables.groups[g].client_label[variant, seen]
        assert clients["held_out_accuracy"][row] == pytest.approx(np.mean(own == label))
        server = learned.tables.server_label[seen]
        assert clients["server_held_out_accuracy"][row] == pytest.approx(np.mean(server == label))
