"""What each score comes to at the scenario's own costs, on held-out samples and without any traffic.
A section of the summary; the whole grid of a study stays in study.parquet."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Mask, Traffic

COLUMNS = (
    "group",
    "score",
    "price_from",
    "deferral_rate",
    "accuracy",
    "risk",
    "risk_all_local",
    "risk_all_remote",
    "risk_oracle",
    "above_constant",
    "above_constant_low",
    "above_constant_high",
)


def study(traffic: Traffic) -> list[dict[str, Any]]:
    """A row per group and score: the run's own form and interval where the score is trained. is_policy: the
    group decides by it in the run."""
    run, told = traffic.run, traffic.run.columns_of("study")
    if not told["group"].size:
        return []
    own = as_trained(run) & (told["c_e"] == run.scenario["costs"]["c_e"])
    own &= told["c_1"] == run.scenario["costs"]["c_1"]
    columns = (told[name][own].tolist() for name in COLUMNS)
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*columns, strict=True)]
    return [row | {"is_policy": run.groups[row["group"]]["policy"]["score"] == row["score"]} for row in rows]


def as_trained(run: Run) -> Mask:
    """Which rows of the study are of scores that nothing trains, or that are trained as the run's are."""
    told, training = run.columns_of("study"), run.scenario["training"]
    form, every = told["form"], told["sync_every"]
    is_form = (form == "") | (form == training["form"])
    return np.asarray(
        is_form & ((every == "") | (every == str(training["pretrain"]["sync_every"]))), dtype=bool
    )
