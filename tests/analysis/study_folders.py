"""Writes the tables of a made-up study into a run folder: two prices, two c_1, two intervals, two forms."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sim.results import columns

GROUPS = ("sensors", "cameras")
SENT = {0.1: 0.5, 0.4: 0.2}  # by c_e
CLIENT, SERVER = 0.7, 0.9  # accuracy over all held-out samples
HELD_OUT = 180.0


def write_study(path: Path) -> None:
    """study, study_curves, study_bounded and study_losses of `GROUPS`, whose policies decide by l2h."""
    write(path / "study.parquet", [key | _comes_to(key) for key in _settings()], columns.STUDY)
    curves = [
        key | {"deferral_rate": rate, "accuracy": CLIENT + 0.3 * rate - 0.1 * rate**2, "risk": 0.3}
        for key in _settings()
        for rate in np.linspace(0, 1, 5)
    ]
    write(path / "study_curves.parquet", curves, columns.STUDY_CURVES)
    write(path / "study_bounded.parquet", list(_bounded()), columns.STUDY_BOUNDED)
    losses = [
        key | {"step": 10 * (epoch + 1), "loss": 1.0 / (epoch + 1), "staleness": 0.0}
        for key in _settings()
        for epoch in range(3)
    ]
    write(path / "study_losses.parquet", losses, columns.STUDY_LOSSES)


def _settings() -> Iterator[dict[str, Any]]:
    grid = product(GROUPS, ("nonnegative", "released"), SENT, (1.0, 1.25), ("1", "epoch"))
    for group, form, c_e, c_1, sync_every in grid:
        setting = {"form": form, "c_e": c_e, "c_1": c_1, "sync_every": sync_every}
        yield {"group": group, "score": "l2h"} | setting


def _comes_to(key: dict[str, Any]) -> dict[str, Any]:
    """On what is sent the client has 0.4 right and the server 0.8."""
    sent = SENT[key["c_e"]]
    client, server = ((whole - sent * part) / (1 - sent) for whole, part in ((CLIENT, 0.4), (SERVER, 0.8)))
    accuracy = (1 - sent) * client + sent * 0.8
    return {
        "price": 0.0,
        "price_from": "bayes",
        "deferral_rate": sent,
        "accuracy": accuracy,
        "risk": 1 - accuracy + sent * key["c_e"],
        "risk_all_local": 1 - CLIENT,
        "risk_all_remote": key["c_e"] + key["c_1"] * (1 - SERVER),
        "risk_oracle": 0.1,
        "excess_over_oracle": 0.9 - accuracy + sent * key["c_e"],
        "above_constant": 0.01,
        "above_constant_low": -0.01,
        "above_constant_high": 0.03,
        "samples_local": HELD_OUT * (1 - sent),
        "samples_remote": HELD_OUT * sent,
        "client_accuracy_local": client,
        "server_accuracy_local": server,
        "server_gain_local": server - client,
        "client_accuracy_remote": 0.4,
        "server_accuracy_remote": 0.8,
        "server_gain_remote": 0.4,
        "final_loss": 1 / 3,
    }


def _bounded() -> Iterator[dict[str, Any]]:
    for key, bound in product(_settings(), np.linspace(0.1, 0.9, 9)):
        random = CLIENT + bound * (SERVER - CLIENT)
        reported = {"deferral_rate": bound, "accuracy": random + 0.02, "risk": 0.3}
        yield key | {"bound": bound} | reported | {"accuracy_random": random, "risk_random": 0.32}


def write(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    pq.write_table(pa.Table.from_pandas(pd.DataFrame(rows), schema=schema, preserve_index=False), path)
