"""Rows of a study's tables: a group's own score, and of the setting what is not asked for at its own.
Between the run folder and the figures and tables of a study."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.run_folder.run import Run

FORMS = ("nonnegative", "cost_sensitive", "paper", "released")  # in the order in which they are told


def is_study(run: Run) -> bool:
    """Whether the scenario asked for settings beside the run's own, and they were trained."""
    return bool(run.scenario.get("study")) and not run.study.empty


def own_setting(run: Run, group: str) -> dict[str, Any]:
    """The setting that a group decides by in the run, as the tables name it; form and sync_every are "" where
    its score is not trained, c_e and c_1 are the scenario's."""
    score = run.groups[group]["policy"]["score"]
    rows = run.study[(run.study["group"] == group) & (run.study["score"] == score)]
    training = run.scenario["training"]
    asked = {"form": training["form"], "sync_every": str(training["pretrain"]["sync_every"])}
    kept = {name: value if value in set(rows[name]) else "" for name, value in asked.items()}
    return {"score": score} | kept | {name: run.scenario["costs"][name] for name in ("c_e", "c_1")}


def rows_of(run: Run, table: pd.DataFrame, group: str, *free: str) -> pd.DataFrame:
    """The rows about a group's own score in which every part of the setting but `free` is its own."""
    fixed = {name: value for name, value in own_setting(run, group).items() if name not in free}
    keep = table["group"] == group
    for name, value in fixed.items():
        keep &= table[name] == value
    return table[keep]


def forms_in(rows: pd.DataFrame) -> list[str]:
    """The forms that rows hold, in one order everywhere; own losses after the tool's."""
    there = set(rows["form"])
    own = sorted(there - {*FORMS, ""})
    return [form for form in (*FORMS, *own, "") if form in there]
