"""Tables of a run, a sweep or a study as a paper takes them: CSV with the ends of intervals, or LaTeX.
Behind the command `table`; takes summary.json, sweep.json or study.json as they lie in a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.metrics.measures import MEASURES
from analysis.reports.formatting import SHOWN_AS, outage_name, quantity
from analysis.run_folder.files import read_json
from analysis.time_in_words import span
from sim.errors import BadInput


class Number(NamedTuple):
    """A number in its unit of `SHOWN_AS`, and the ends of its 95% interval; None where there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Column(NamedTuple):
    """A column of numbers: its name, its unit, and whether it is a difference."""

    name: str
    unit: str
    is_difference: bool = False


class PaperTable(NamedTuple):
    """Named rows of numbers; of each row one per column."""

    heads: Sequence[str]
    columns: Sequence[Column]
    rows: Sequence[tuple[Sequence[str], Sequence[Number]]]


OF_WINDOWS = {
    "requests": "requests",
    "accuracy": "share",
    "client_accuracy": "share",
    "deferral_rate": "share",
    "answered_by_server_share": "share",
    "timed_out_share": "share",
    "refused_share": "share",
    "p95_latency_s": "s",
}
ANSWERS = {
    "accuracy": ("accuracy", "held_out", "all"),
    "client accuracy": ("accuracy", "held_out", "client_accuracy"),
    "server accuracy": ("accuracy", "held_out", "server_accuracy"),
    "gain": ("accuracy", "held_out", "gain"),
    "deferral rate": ("rates", "deferral_rate"),
    "client right, deferred": ("contrast", "deferred", "client"),
    "server right, deferred": ("contrast", "deferred", "server"),
    "client right, kept": ("contrast", "local", "client"),
    "server right, kept": ("contrast", "local", "server"),
}


def windows(summary: Mapping[str, Any]) -> PaperTable:
    """The whole run, before, during and after each outage."""
    outages, of_s = summary["outages"], summary["run"]["horizon_s"]
    named = {"whole run": outages["whole_run"]}
    if outages["each"]:
        named["before outages"] = outages["before"]
    for outage in outages["each"]:
        named[outage_name(outage, of_s)] = outage["during"]
        named[f"then to {span(outage['after_until_s'], of_s)}"] = outage["after"]
    return _parts("window", named)


def groups(summary: Mapping[str, Any]) -> PaperTable:
    """Each group in the whole run."""
    return _parts("group", {name: part["whole_run"] for name, part in summary["groups"].items()})


def _parts(head: str, named: Mapping[str, Mapping[str, Any]]) -> PaperTable:
    columns = [Column(name, unit) for name, unit in OF_WINDOWS.items()]
    rows = [((name,), [_number(part[column.name]) for column in columns]) for name, part in named.items()]
    return PaperTable((head,), columns, rows)


def answers(summary: Mapping[str, Any]) -> PaperTable:
    """What was right, by whom, over held-out requests."""
    rows = []
    for name, path in ANSWERS.items():
        found: Any = summary
        for step in path:
            found = found[step]
        rows.append(((name,), [_number(found)]))
    return PaperTable(("of held-out requests",), [Column("share", "share")], rows)


def policies(study: Mapping[str, Any]) -> PaperTable:
    """Each policy's means over seeds."""
    names = list(study["policies"][0]["metrics"])
    rows = [(row["chosen"], [Number(*row["metrics"][name]) for name in names]) for row in study["policies"]]
    return PaperTable(("policy",), [Column(name, _unit(name)) for name in names], rows)


def differences(study: Mapping[str, Any]) -> PaperTable:
    """Each policy less the baseline, paired by seed."""
    names = list(study["policies"][0]["metrics"])
    rows = [
        (
            row["chosen"],
            [
                Number(found["difference"], found["low"], found["high"])
                for found in (row["differences"][name] for name in names)
            ],
        )
        for row in study["policies"]
        if row["differences"]
    ]
    columns = [Column(name, _unit(name), is_difference=True) for name in names]
    return PaperTable((f"policy less {study['baseline']}",), columns, rows)


def settings(sweep: Mapping[str, Any]) -> PaperTable:
    """Each setting's means over seeds."""
    names = list(sweep["rows"][0]["metrics"])
    rows = [
        (
            [str(value) for value in row["chosen"]],
            [Number(*(row["metrics"][name][end] for end in ("mean", "low", "high"))) for name in names],
        )
        for row in sweep["rows"]
    ]
    return PaperTable(sweep["axes"], [Column(name, _unit(name)) for name in names], rows)


TABLES: dict[str, dict[str, Callable[[Mapping[str, Any]], PaperTable]]] = {
    "summary.json": {"windows": windows, "groups": groups, "answers": answers},
    "study.json": {"policies": policies, "differences": differences},
    "sweep.json": {"settings": settings},
}


def paper_table(path: Path, name: str, kind: str) -> str:
    """The table `name` of a finished run, sweep or study in the folder `path`, as `csv` or `latex`.

    CSV: numbers as they are, an interval in two more columns. LaTeX: a tabular for the package booktabs,
    rounded and in the units that tables show. Raises BadInput for a folder that is none of them, or has no
    such table, or whose file holds something else where it should be.
    """
    file = next((file for file in TABLES if (path / file).is_file()), None)
    if file is None:
        raise BadInput(f"{path}: is neither a finished run nor a sweep or study: no {', '.join(TABLES)}")
    known = TABLES[file]
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise BadInput(f"table {name}: {path} has {', '.join(known)}{hint}")
    content = read_json(path / file)
    try:
        made = known[name](content)
        return as_csv(made) if kind == "csv" else as_latex(made)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise BadInput(f"{path / file}: damaged, or of another version: no table '{name}' ({why})") from None


def as_csv(table: PaperTable) -> str:
    """A line per row; NAME, NAME_low and NAME_high where any row has an interval."""
    frame = pd.DataFrame([names for names, _ in table.rows], columns=pd.Index(table.heads), dtype="str")
    for place, column in enumerate(table.columns):
        numbers = [row[place] for _, row in table.rows]
        frame[column.name] = [number.value for number in numbers]
        if any(number.low is not None for number in numbers):
            frame[f"{column.name}_low"] = [number.low for number in numbers]
            frame[f"{column.name}_high"] = [number.high for number in numbers]
    text: str = frame.to_csv(index=False, lineterminator="\n")
    return text


def as_latex(table: PaperTable) -> str:
    """A tabular: value [low, high]."""
    frame = pd.DataFrame([names for names, _ in table.rows], columns=pd.Index(table.heads), dtype="str")
    for place, column in enumerate(table.columns):
        unit = "points" if column.is_difference and column.unit == "share" else SHOWN_AS[column.unit][0]
        name = column.name.removesuffix("_s").removesuffix("_share").replace("_", " ")
        frame[name + (f" ({unit})" if unit else "")] = [
            _in_words(row[place], column) for _, row in table.rows
        ]
    layout = "l" * len(table.heads) + "r" * len(table.columns)
    text: str = frame.to_latex(index=False, escape=True, column_format=layout)
    return text


def _in_words(number: Number, column: Column) -> str:
    if column.unit == "requests" and not column.is_difference and number.value is not None:
        return f"{number.value:,.0f}"
    value, low, high = (quantity(one, column.unit, column.is_difference) for one in number)
    return value if number.low is None and number.high is None else f"{value} [{low}, {high}]"


def _number(found: Any) -> Number:
    if isinstance(found, Mapping):
        return Number(found["value"], found["low"], found["high"])
    return Number(None if found is None or not np.isfinite(found) else float(found))


def _unit(name: str) -> str:
    return MEASURES[name].unit if name in MEASURES else "ratio"
