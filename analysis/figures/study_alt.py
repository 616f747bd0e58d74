"""What each figure of a study shows, in one sentence with the numbers, for who cannot see it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.reports.formatting import percent
from analysis.run_folder.study_rows import rows_of
from analysis.run_folder.traffic import Traffic


def study_contrast(traffic: Traffic, _summary: dict[str, Any]) -> str:
    parts = []
    for name, own in _own(traffic):
        gains = [_points(own[f"server_gain_{side}"]) for side in ("remote", "local")]
        parts.append(f"{name}: {gains[0]} on what it sends, {gains[1]} on what it keeps")
    return "The server's lead over the client at the run's own costs: " + "; ".join(parts) + "."


def study_accuracy(traffic: Traffic, _summary: dict[str, Any]) -> str:
    parts = [
        f"{name} sends {percent(own['deferral_rate'])} and is right on {percent(own['accuracy'])}"
        for name, own in _own(traffic)
    ]
    return (
        "Accuracy against deferral rate as the cost of deferring goes over its grid; at the run's own costs "
        + ("; ".join(parts) + ".")
    )


def study_rates(traffic: Traffic, _summary: dict[str, Any]) -> str:
    parts = []
    for name in traffic.run.groups:
        line = rows_of(traffic.run, traffic.run.study, name, "c_e").sort_values("c_e")
        if len(line):
            first, last = line.iloc[0], line.iloc[-1]
            parts.append(
                f"{name} from {percent(first['deferral_rate'])} at {first['c_e']:g} "
                f"to {percent(last['deferral_rate'])} at {last['c_e']:g}"
            )
    return "Deferral rate against the cost of deferring: " + "; ".join(parts) + "."


def study_risk(traffic: Traffic, _summary: dict[str, Any]) -> str:
    parts = []
    for name in traffic.run.groups:
        line = rows_of(traffic.run, traffic.run.study, name, "c_e").sort_values("c_e")
        ends = [
            f"{row['risk']:.3f} at {row['c_e']:g} (nothing sent {row['risk_all_local']:.3f}, "
            f"oracle {row['risk_oracle']:.3f})"
            for _, row in line.iloc[[0, -1][: len(line)]].iterrows()
        ]
        parts.append(f"{name} {' and '.join(ends)}")
    return "Generalised risk against the cost of deferring: " + "; ".join(parts) + "."


def study_losses(traffic: Traffic, _summary: dict[str, Any]) -> str:
    parts = []
    for name in traffic.run.groups:
        rows = rows_of(traffic.run, traffic.run.study_losses, name, "sync_every").sort_values("step")
        last = rows.groupby("sync_every", sort=False)["loss"].last()
        ends = ", ".join(f"{value:.3f} with S = {interval}" for interval, value in last.items())
        parts.append(f"{name} {ends or 'is not trained'}")
    return "The rejectors' loss over the steps, by interval between copies; at the end " + (
        "; ".join(parts) + "."
    )


def study_bounded(traffic: Traffic, _summary: dict[str, Any]) -> str:
    parts = []
    for name in traffic.run.groups:
        rows = rows_of(traffic.run, traffic.run.study_bounded, name)
        if len(rows):
            lead = (rows["accuracy"] - rows["accuracy_random"]).max()
            parts.append(f"{name} by at most {_points(lead)}")
    return "With a coin that bounds the deferral rate, the rejector leads random sending: " + (
        "; ".join(parts) + "."
    )


def _own(traffic: Traffic) -> list[tuple[str, pd.Series]]:
    results = ((name, rows_of(traffic.run, traffic.run.study, name)) for name in traffic.run.groups)
    return [(name, rows.iloc[0]) for name, rows in results if len(rows)]


def _points(share: float) -> str:
    return "nothing" if pd.isna(share) else f"{100 * share:+.1f} points"
