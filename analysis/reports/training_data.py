"""What the frozen client models were trained on, in words: a line per group for the report.
Reads the class counts of `partitions.parquet`; run folders from before there were any say nothing."""

from __future__ import annotations

import pandas as pd

from analysis.run_folder.run import Run

HEADING = "client models were trained on"


def trained_on(run: Run) -> dict[str, list[tuple[str, str]]]:
    """Under one heading, (group, its models' samples); empty where the folder has no class counts."""
    counts = run.partitions
    if counts.empty:
        return {}
    return {HEADING: [(str(name), _in_words(part)) for name, part in counts.groupby("group", sort=False)]}


def _in_words(counts: pd.DataFrame) -> str:
    """For instance: 200 samples, 12 to 31 of a class, none of 7, 8, 9."""
    totals = counts.groupby("variant")["samples"].sum()
    most_of_class = counts.groupby("class")["samples"].max()
    known = counts[counts["class"].map(most_of_class) > 0]["samples"]
    unknown = ", ".join(str(label) for label in most_of_class.index[most_of_class == 0])
    text = f"{_span(totals)} samples, {_span(known)} of a class"
    return f"{text}, none of {unknown}" if unknown else text


def _span(numbers: pd.Series[int]) -> str:
    low, high = int(numbers.min()), int(numbers.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
