"""What models are said to be right with: sums by bin, and the table that a run leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_fleets import group, learn, model, scenario

from agents.evaluation.reliability_bins import BINS, SUMS, reliability_bins
from agents.rejectors.surrogates import SURROGATES
from sim.results.columns import RELIABILITY


def test_sums_by_hand() -> None:
    """Two clients, a quarter and three quarters of the group; they differ on the second sample alone."""
    said = np.array([[0.25, 0.0], [0.29, 1.0]])
    right = np.array([[True, False], [True, True]])
    sums = reliability_bins(said, right, np.array([0.25, 0.75]))
    weight, estimated, was = (sums[SUMS.index(name)] for name in ("weight", "estimated", "right"))
    assert weight[0].tolist() == [0, 0, 1.0, 0, 0, 0, 0, 0, 0, 0]
    assert estimated[0, 2] == pytest.approx(0.25 * 0.25 + 0.75 * 0.29)
    assert weight[1, [0, BINS - 1]].tolist() == [0.25, 0.75], "1 belongs to the last bin"
    assert was[1, [0, BINS - 1]].tolist() == [0.0, 0.75]


@given(st.integers(1, 6), st.integers(0, 5), st.randoms(use_true_random=False))
def test_sums_of_disjoint_clients_add_up(rows: int, samples: int, chance: st.DrawFn) -> None:
    draw = np.random.default_rng(chance.getrandbits(32))  # type: ignore[attr-defined]
    said, right, share = draw.random((rows, samples)), draw.random((rows, samples)) < 0.5, draw.random(rows)
    parts = [
        reliability_bins(said[part], right[part], share[part]) for part in np.array_split(np.arange(rows), 3)
    ]
    np.testing.assert_allclose(np.sum(parts, axis=0), reliability_bins(said, right, share))


@pytest.mark.parametrize("score", SURROGATES)
def test_the_table_of_a_fleet(score: str, tmp_path: Path) -> None:
    """Every client speaks once of every held-out sample, of the models that its score estimates."""
    policy = {"score": score, "price": {"kind": "threshold", "at": 0.0}}
    learned = learn(scenario(group(policy=policy, model=model(variants=2), clients=5)), tmp_path)
    table = pd.DataFrame(learned.reliability)
    assert list(table) == RELIABILITY.names
    spoken = {("softmax", "server"), ("softmax", "client")} | {(score, of) for of in SURROGATES[score].says}
    assert set(zip(table["source"], table["model"], strict=True)) == spoken
    axis = learned.samples
    held_out = axis.sample_id[axis.held_out]
    for _, part in table.groupby(["source", "model"]):
        by_sample = part.groupby("sample_id")["weight"].sum()
        assert by_sample.index.tolist() == sorted(held_out)
        assert by_sample.tolist() == pytest.approx([1.0] * len(held_out))
        assert part["estimated"].between(0, 1).all()
    server = table[table["model"] == "server"]
    truth = pd.Series((learned.tables.server_label == axis.label)[axis.held_out] * 1.0, held_out)
    assert (server["right"] == server["sample_id"].map(truth)).all()
    client = table[(table["model"] == "client") & (table["source"] == "softmax")]
    right = (learned.tables.groups[0].client_label == axis.label)[:, axis.held_out].mean(axis=1)
    assert (client["weight"] * client["right"]).sum() / len(held_out) == pytest.approx(right @ [0.6, 0.4])
