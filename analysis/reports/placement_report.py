"""What a search for a placement leaves behind: the placed scenario, and a row for each placement looked at.
Takes what `analysis.statistics.placement` found, with names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from rich.table import Table

from analysis.statistics.placement import Placement, Seen
from sim.results.whole_files import write_whole

FILES = {"placed.yaml", "placement.csv"}
MOST_SHOWN = 8


class Found(NamedTuple):
    """What a search comes to. best: the placement, by server its models; table: a row per placement, the best
    first: what it is, how it was met, and what it serves (answers in time, 1/s); answer: in words; scenario:
    the one so placed, as YAML."""

    best: dict[str, list[str]]
    table: pd.DataFrame
    answer: str
    scenario: str


def by_server(placed: Placement, servers: Sequence[str], models: Sequence[str]) -> dict[str, list[str]]:
    """The models of each server by name."""
    return {
        name: [models[model] for place, model in sorted(placed) if place == server]
        for server, name in enumerate(servers)
    }


def in_words(placed: Placement, servers: Sequence[str], models: Sequence[str]) -> str:
    """A placement on one line."""
    has = by_server(placed, servers, models)
    return "; ".join(f"{server}: {', '.join(names) or 'none'}" for server, names in has.items())


def table_of(met: Sequence[tuple[str, Seen]], servers: Sequence[str], models: Sequence[str]) -> pd.DataFrame:
    """A row for each placement and how it was met ("search", "all", "written"), the best first."""
    rows = [
        {"placement": in_words(seen.placed, servers, models), "met_in": how, "goodput_hz": seen.goodput_hz}
        | {f"served_hz.{model}": hz for model, hz in zip(models, seen.served_hz, strict=True)}
        | {f"reached_hz.{server}": hz for server, hz in zip(servers, seen.reached_hz, strict=True)}
        for how, seen in sorted(met, key=lambda one: one[1].rank)
    ]
    return pd.DataFrame(rows)


def write_placement(found: Found, out: Path) -> None:
    """Writes placed.yaml and placement.csv."""
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "placement.csv", found.table.to_csv(index=False).encode())
    write_whole(out / "placed.yaml", found.scenario.encode())


def placement_table(found: Found) -> Table:
    """What `placement` prints: the best few, and what each serves."""
    shown = Table(box=None, padding=(0, 1, 0, 1), pad_edge=False, header_style="bold")
    served = [name for name in map(str, found.table) if name.startswith("served_hz.")]
    for name in ("placement", "met in", "goodput 1/s", *(one.removeprefix("served_hz.") for one in served)):
        shown.add_column(name, justify="left" if name in ("placement", "met in") else "right")
    for row in found.table.head(MOST_SHOWN).to_dict("records"):
        numbers = [f"{row[name]:.3g}" for name in ("goodput_hz", *served)]
        shown.add_row(row["placement"], row["met_in"], *numbers)
    return shown
