"""What each score comes to at the scenario's own costs, on held-out samples and without any traffic.
A section of the summary; the whole grid of a study stays in study.parquet."""

from __future__ import annotations

from typing import Any

from analysis.run_folder.traffic import Traffic

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
    run, frame = traffic.run, traffic.run.study
    if frame.empty:
        return []
    costs, training = run.scenario["costs"], run.scenario["training"]
    own = (frame["c_e"] == costs["c_e"]) & (frame["c_1"] == costs["c_1"])
    own &= frame["form"].isin(["", training["form"]])
    own &= frame["sync_every"].isin(["", str(training["pretrain"]["sync_every"])])
    rows: list[dict[str, Any]] = frame.loc[own, list(COLUMNS)].to_dict("records")
    return [row | {"is_policy": run.groups[row["group"]]["policy"]["score"] == row["score"]} for row in rows]
