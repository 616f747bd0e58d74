"""A page for a run folder that cannot be summed up: what is missing, and what can still be shown.
Written by `report` in place of report.html, which it leaves alone."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from analysis.figures import FIGURES
from analysis.reports.formatting import percent
from analysis.reports.page import render, saved
from analysis.run_folder.integrity import State, salvage
from analysis.run_folder.provenance import in_one_line
from analysis.run_folder.traffic import Traffic
from sim.errors import BadInput
from sim.results.columns import OUTCOMES
from sim.results.whole_files import write_whole

PARTIAL = "report_partial.html"


def write_partial(path: str | Path, why: str) -> Path:
    """Writes the page of what can be read of a run folder; returns its path.

    Raises BadInput for a folder that is no run's; then nothing is written.
    """
    traffic, states = salvage(path)
    page = render(
        "partial.html.j2",
        name=traffic.run.scenario["name"],
        question=traffic.run.question,
        why=why,
        warnings=traffic.run.warnings,
        states=[(state.table, _in_words(state), state.is_fine) for state in states],
        outcomes=_outcomes(traffic),
        requests=len(traffic.everything),
        figures=_figures(traffic, states),
        versions=_versions(traffic),
        scenario=traffic.run.scenario_text,
    )
    target = Path(path) / PARTIAL
    write_whole(target, page.encode())
    return target


def _in_words(state: State) -> str:
    if state.is_fine:
        return f"fine ({state.files} files)" if state.files > 1 else "fine"
    some = f"{state.readable} of {state.files} files can be read; " if state.files > 1 else ""
    return some + state.why


def _outcomes(traffic: Traffic) -> list[tuple[str, str, str]]:
    """The outcomes of the requests that can be read, warm-up included: name, number, share."""
    counted = traffic.everything["outcome"].value_counts()
    rows = [(name, int(counted.get(name, 0))) for name in OUTCOMES]
    whole = max(1, len(traffic.everything))
    return [(name.replace("_", " "), f"{n:,}", percent(n / whole)) for name, n in rows if n]


def _figures(traffic: Traffic, states: list[State]) -> list[dict[str, str]]:
    """The figures whose tables can be read at least in part."""
    has = {state.table for state in states if state.is_fine or state.readable}
    if traffic.everything.empty:
        has.discard("requests")
    shown = []
    for name, drawing in FIGURES.items():
        with suppress(BadInput), in_one_line(traffic.run.warnings):
            if drawing.needs <= has and drawing.suits(traffic.run):
                words = {"name": name, "title": drawing.title, "caption": drawing.caption}
                alt = {"alt": f"{drawing.title}, from the part of the run that can be read."}
                shown.append(words | alt | saved(drawing.draw(traffic)).sources())
    return shown


def _versions(traffic: Traffic) -> dict[str, Any]:
    try:
        return traffic.run.versions
    except BadInput:
        return {}
