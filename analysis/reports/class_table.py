"""Accuracy class by class as a table of the report; classes are balanced in its first row.
Reads the summary's `classes`."""

from __future__ import annotations

from typing import Any

from analysis.reports.formatting import percent, with_interval

MOST = 20  # classes; of more nobody reads a table
SHARES = ("client_accuracy", "server_accuracy", "deferral_rate")
CLASS_COLUMNS = (
    "true class",
    "requests",
    "accuracy, % [95% interval]",
    "client accuracy, %",
    "server accuracy, %",
    "deferral rate, %",
)


def of_classes(summary: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row per class, below the mean over classes; none where there is one class, or more than MOST."""
    classes = summary["classes"]
    by_class = classes["by_class"]
    if not 2 <= len(by_class) <= MOST:
        return []
    balanced, client = classes["balanced_accuracy"], classes["balanced_client_accuracy"]
    mean = with_interval(balanced), percent(client["value"], "")
    rows: list[tuple[str, ...]] = [("mean over classes", f"{balanced['n']:,}", *mean, "", "")]
    for name, one in sorted(by_class.items(), key=lambda item: int(item[0])):
        shares = (percent(one[share]["value"], "") for share in SHARES)
        rows.append((name, f"{one['accuracy']['n']:,}", with_interval(one["accuracy"]), *shares))
    return rows
