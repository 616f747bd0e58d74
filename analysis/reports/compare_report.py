"""A comparison as people read it: a table for the terminal, compare.html, compare.json and the time lines.
Takes what `analysis.statistics.comparison` gives; both tables show the same rows."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.figures.overlay import overlay
from analysis.metrics.measures import MEASURES, Percentile, Ratio, Single, label_within
from analysis.metrics.naming import key_of, measure_of, no_such
from analysis.metrics.summary import to_json
from analysis.reports.formatting import PLAIN, SHOWN_AS, difference_with_interval, program, quantity
from analysis.reports.page import render, require_own, saved, write_figure
from analysis.reports.setup import changes
from analysis.run_folder.provenance import made_by
from analysis.statistics import over_seeds
from analysis.statistics.comparison import IN_WINDOWS, compare, load_traffics, names_of
from analysis.statistics.over_seeds import arms_of, compare_over_seeds
from analysis.statistics.pairing import what_differs
from analysis.time_in_words import between
from sim.errors import BadInput
from sim.results.whole_files import write_whole

TIMELINES = "compare_timelines"  # the figure
FILES = {"compare.json", "compare.html", f"{TIMELINES}.svg", f"{TIMELINES}.png"}
SHOWN_BY_GROUP = ("accuracy", "served_in_time", "cost")  # all are in the JSON
SHORT = {"samples": "s", "time": "t"}  # what an interval resamples, as a terminal has room for
BY = "by: the interval resamples clients and samples (s) or stretches of time (t); why not: compare.json"
MOST_DIFFERENCES = 12  # of scenarios, in words; all are in the JSON
CAPTION = (
    "The runs over one another, by the time at which requests arrived. Outages that all runs have are grey; "
    "else those of each run are shaded in its colour."
)
METHOD = (
    "Difference = run minus baseline, for shares in points. Its 95% interval, by samples, counts clients and "
    "distinct samples, which repeat, by two-way clustering within groups of what each contributes to the "
    "difference, so that what both runs met cancels, and holds given this one course of events; by time, it "
    "counts ten stretches of time of both runs, since neighbours in time are alike, and holds for as long a "
    "time again. Both hold given the trained models. Where a run is too short, or has too few outages to "
    "show how they vary, a number of the service has no interval; compare.json says why. Each interval is a "
    "statement of its own, so among many some will miss."
)


def write_comparison(
    paths: Sequence[Path],
    out: Path,
    unpaired: bool = False,
    replicated: bool = False,
    png: bool = False,
    shown: Sequence[str] = (),
) -> dict[str, Any]:
    """Compares the runs with the first of them and writes the results into `out`; returns the comparison.

    `replicated`: runs that differ in their seeds alone are one scenario, and intervals are over seeds. png:
    the figure as PNG, too. shown: numbers that are told before the others, as `named` has them.
    Raises BadInput for runs that cannot be compared, or for a folder `out` that holds other things; then
    nothing is written.
    """
    require_own(out, FILES, "a comparison")
    keys = list(dict.fromkeys(map(key_of, shown)))
    traffics = load_traffics(paths)
    made = list(dict.fromkeys(made_by(one.run.path, one.run.horizon_s > 0) for one in traffics))
    warnings = [f"{warning}." for traffic in traffics for warning in traffic.run.warnings]
    if replicated:
        if unpaired:
            raise BadInput("--unpaired: goes not with --over-seeds, which pairs runs by seed")
        arms = arms_of(traffics)
        traffics = [arm[min(arm)] for arm in arms]
        comparison = compare_over_seeds(arms, names_of(traffics), keys)
    else:
        comparison = compare(traffics, unpaired, keys)
    comparison["made_by"] = made
    for run, traffic in zip(comparison["runs"], traffics[1:], strict=True):
        run["told"] = changes(traffics[0].run.scenario, traffic.run.scenario)
    figure = overlay(traffics, names_of(traffics))
    picture = saved(figure, png)
    command = [*program(), "compare", *map(str, paths), "--out", str(out)]
    command += [word for one in shown for word in ("--show", one)]
    page = render(
        "compare.html.j2",
        title=" and ".join(names_of(traffics)) if len(traffics) == 2 else f"{len(traffics)} runs",
        comparison=comparison,
        runs=[
            (
                run,
                [(one, apart, base, own, by) for one, base, own, apart, by in rows(comparison, run)],
                differences(run),
                windows(run),
            )
            for run in comparison["runs"]
        ],
        window_names=WINDOW_NAMES,
        cautions=warnings + cautions(comparison),
        absent=absent(comparison),
        method=over_seeds.METHOD if replicated else METHOD,
        columns=("measure", "difference [95% interval]", "baseline", "run", "by"),
        picture=picture.sources() | {"alt": _alt(comparison), "caption": CAPTION},
        command=shlex.join(command + ["--unpaired"] * unpaired + ["--over-seeds"] * replicated),
    )
    write_figure(out / TIMELINES, picture)
    write_whole(out / "compare.html", page.encode())
    write_whole(out / "compare.json", to_json(comparison))
    return comparison


def rows(
    comparison: dict[str, Any], run: dict[str, Any], alone: bool = False
) -> list[tuple[str, str, str, str, str]]:
    """Measure, baseline, run, difference with interval, and what was resampled; without what neither has.
    alone: of what was asked for, and of nothing else."""
    lines = []
    for measure, base, measured in _measured(comparison, run, alone):
        if base is None and measured["value"] is None:
            continue
        unit = SHOWN_AS.get(measure.unit, PLAIN)[0]
        lines.append(
            (
                measure.label + (f" ({unit})" if unit else ""),
                quantity(base, measure.unit),
                quantity(measured["value"], measure.unit),
                difference_with_interval(measured, measure.unit),
                measured["by"] or "",
            )
        )
    return lines


Shown = tuple[Ratio | Percentile | Single, float | None, dict[str, Any]]


def _measured(comparison: dict[str, Any], run: dict[str, Any], alone: bool) -> Iterator[Shown]:
    """Each measure with the baseline's value and the run's, those that were asked for first, or `alone`; of
    several groups the most telling ones, too."""
    asked = comparison["shown"]
    for key in asked if alone else dict.fromkeys([*asked, *comparison["measures"]]):
        yield measure_of(key), comparison["baseline"]["measures"][key], run["measures"][key]
    groups = {} if alone else run.get("groups", {})
    for name, measures in groups.items() if len(groups) > 1 else ():
        for key in SHOWN_BY_GROUP:
            labelled = MEASURES[key]._replace(label=label_within(key, name))
            yield labelled, measures[key]["baseline"], measures[key]


def absent(comparison: dict[str, Any]) -> list[str]:
    """A line for each number that was asked for and that no run has, with what it would be."""
    every = [comparison["baseline"]["measures"]] + [
        {key: of["value"] for key, of in run["measures"].items()} for run in comparison["runs"]
    ]
    return [no_such(key) for key in comparison["shown"] if all(of[key] is None for of in every)]


def windows(run: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row per outage of either run, with the differences among the requests that arrived in it."""
    lines = []
    for window in run.get("windows", []):
        when = "" if window["from_s"] is None else f" {between(window['from_s'], window['to_s'], '–')}"
        cells = [f"{window['label']}{when}"]
        for key, measured in window["measures"].items():
            cells.append(difference_with_interval(measured, MEASURES[key].unit))
        lines.append(tuple(cells))
    return lines


WINDOW_NAMES = (
    "arrived in",
    *(f"{MEASURES[key].label} ({SHOWN_AS[MEASURES[key].unit][0]})" for key in IN_WINDOWS),
)


def scenario_differences(base: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """How a resolved scenario differs from another, as `differences` writes it: `scenario` has all changes by
    path, `told` some in words."""
    return {"scenario": what_differs(base, other), "told": changes(base, other)}


def differences(run: dict[str, Any], most: int | None = MOST_DIFFERENCES) -> list[str]:
    """What the scenario of a run has otherwise than the baseline's, in words where there are any."""
    told: dict[str, str] = run.get("told", {})
    plain = [
        one for one in run["scenario"] if not f"{one[0]}.".startswith(tuple(f"{path}." for path in told))
    ]
    by_path = (f"{path}: {_shown(one)} → {_shown(two)}" for path, one, two in gathered(plain))
    lines = [*told.values(), *by_path]
    if most is not None and len(lines) > most:
        lines = [*lines[:most], f"and {len(lines) - most} more, in compare.json"]
    return lines or ["nothing"]


Change = tuple[str, Any, Any]


def gathered(paths: Sequence[Change]) -> Iterator[Change]:
    """The changes; keys of a part that one side lacks are one: {attempts: 3, backoff_s: 0.1} → absent."""
    for (parent, side), group in groupby(paths, _lacking):
        changes = list(group)
        if side is None or len(changes) < 2:
            yield from changes
            continue
        known = ", ".join(f"{path.removeprefix(f'{parent}.')}: {both[1 - side]}" for path, *both in changes)
        yield (parent, None, f"{{{known}}}") if side == 0 else (parent, f"{{{known}}}", None)


def _lacking(change: Change) -> tuple[str, int | None]:
    """The part that a change is about, and which side has nothing there."""
    path, one, two = change
    side = 0 if one is None else 1 if two is None else None
    return path.rpartition(".")[0], side


def cautions(comparison: dict[str, Any]) -> list[str]:
    """Runs that are not valid by their own rules, with the reasons."""
    every = [comparison["baseline"], *comparison["runs"]]
    return [f"{run['name']}: {'; '.join(run['invalid_because'])}." for run in every if not run["valid"]]


def comparison_table(comparison: dict[str, Any]) -> RenderableType:
    """What `compare` prints: a table for each run that is held against the baseline."""
    base = comparison["baseline"]["name"]
    parts: list[RenderableType] = []
    for run in comparison["runs"]:
        parts.append(Text(f"{run['name']} against {base}", style="bold"))
        parts += [Text("  differs in"), *(Text(f"  - {line}") for line in differences(run))]
        parts.append(Text(f"  shared: {run['shared']}"))
        table = Table(box=None, padding=(0, 0, 0, 1), pad_edge=False, header_style="bold")
        names = ("measure", "baseline", "run", "difference [95%]", "by")
        told = rows(comparison, run, alone=bool(comparison["shown"]))
        lines = [(*row, SHORT.get(by, "")) for *row, by in told]
        for index, name in enumerate(names):
            # Only the first column may be cut on a narrow terminal: a cut number would be a wrong one.
            width = max(len(text) for text in (name, *(row[index] for row in lines))) if index else 12
            table.add_column(
                name, justify="right" if 0 < index < 4 else "left", no_wrap=True, min_width=width
            )
        for row in lines:
            table.add_row(*row)
        parts += [Text(), table, Text(BY) if any(row[-1] for row in lines) else Text(), Text()]
    parts += [Text(line) for line in absent(comparison)]
    parts += [Text(f"Read with care: {line}", style="bold red") for line in cautions(comparison)]
    return Group(*parts)


def _shown(value: Any) -> str:
    return "absent" if value is None else str(value)


def _alt(comparison: dict[str, Any]) -> str:
    measured = [(run["name"], run["measures"]["accuracy"]["value"]) for run in comparison["runs"]]
    measured.insert(0, (comparison["baseline"]["name"], comparison["baseline"]["measures"]["accuracy"]))
    accuracies = ", ".join(f"{name} {quantity(value, 'share')}%" for name, value in measured)
    return (
        "Accuracy, sends per second and waiting requests over virtual time, a line per run; mean accuracy "
        f"{accuracies}."
    )
