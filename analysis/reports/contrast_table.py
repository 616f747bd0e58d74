"""The contrastive table of a study: how often client and server are right on what is kept and what is sent.
Shown by the report, and in the docs as Markdown: `python -m analysis.reports.contrast_table RUN`."""

from __future__ import annotations

import sys

import pandas as pd

from analysis.run_folder.run import Run, load_run
from analysis.run_folder.study_rows import forms_in, is_study, rows_of

HEAD = (
    "group",
    "form",
    "c_1",
    "c_e",
    "sent %",
    "kept: m",
    "e",
    "e − m",
    "sent: m",
    "e",
    "e − m",
    "right %",
    "risk",
    "oracle's",
)


def contrast_rows(run: Run) -> list[tuple[str, ...]]:
    """A row per group, form, c_1 and c_e, at the run's own interval between copies; accuracies in percent.
    Empty where the scenario asked for no study."""
    if not is_study(run):
        return []
    rows = []
    for group in run.groups:
        of_group = rows_of(run, run.study, group, "form", "c_1", "c_e")
        for form in forms_in(of_group):
            of_form = of_group[of_group["form"] == form].sort_values(["c_1", "c_e"])
            rows += [_row(row) for _, row in of_form.iterrows()]
    return rows


def _row(row: pd.Series) -> tuple[str, ...]:
    sides = [
        _percent(row[f"{name}_{side}"], sign)
        for side in ("local", "remote")
        for name, sign in (("client_accuracy", ""), ("server_accuracy", ""), ("server_gain", "+"))
    ]
    return (
        str(row["group"]),
        str(row["form"]) or "–",
        f"{row['c_1']:g}",
        f"{row['c_e']:g}",
        _percent(row["deferral_rate"]),
        *sides,
        _percent(row["accuracy"]),
        f"{row['risk']:.3f}",
        f"{row['risk_oracle']:.3f}",
    )


def _percent(share: float, sign: str = "") -> str:
    return "–" if pd.isna(share) else f"{100 * share:{sign}.1f}"


def markdown(run: Run) -> str:
    """The table as Markdown."""
    lines = [HEAD, ["---"] * len(HEAD), *contrast_rows(run)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    print(markdown(load_run(sys.argv[1])))
