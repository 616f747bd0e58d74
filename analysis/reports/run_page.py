"""The pictures of a run folder and the page that holds them all.
Called by `analysis.reports.report`, once the numbers are known."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from analysis.figures import drawings_of
from analysis.figures.predictions import predictions
from analysis.figures.style import to_svg
from analysis.metrics.definitions import DEFINITIONS
from analysis.metrics.terms import GENERAL
from analysis.reports import page
from analysis.reports import predictions as predicted
from analysis.reports.contrast_table import HEAD, contrast_rows
from analysis.reports.formatting import headline, outcome_shares, program, sentences, verdict
from analysis.reports.page import as_source, write_figure
from analysis.reports.partial_report import PARTIAL
from analysis.reports.setup import setup
from analysis.reports.tables import WINDOW_COLUMNS_LONG, facts, of_groups, windows
from analysis.reports.trace import to_trace_file, trace_of
from analysis.reports.training_data import trained_on
from analysis.reports.zoom_data import as_script, bins_in_words, zoom_data
from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Traffic
from sim.results.whole_files import write_whole

TEMPLATE = "report.html.j2"
STAGES = ("build", "learn", "decide", "run")


def write_pictures(traffic: Traffic, summary: dict[str, Any], png: bool = False) -> None:
    """Writes the figures as SVG, and as PNG if asked, the trace and the report.

    A page of what could still be read of the folder goes.
    """
    run = traffic.run
    drawn = {name: drawing.draw(traffic) for name, drawing in drawings_of(run).items()}
    if summary["predictions"]:
        drawn["predictions"] = predictions(summary["predictions"], traffic.outages)
    pictures = {name: to_svg(figure) for name, figure in drawn.items()}
    html = render(traffic, summary, pictures)
    for name, figure in drawn.items():
        write_figure(run.path / "figures" / name, pictures[name], figure, png)
    if run.horizon_s > 0:
        write_whole(run.path / "trace.json.gz", to_trace_file(trace_of(traffic)))
    write_whole(run.path / "report.html", html.encode())
    (run.path / PARTIAL).unlink(missing_ok=True)


def render(traffic: Traffic, summary: dict[str, Any], pictures: dict[str, bytes]) -> str:
    """The report as one page that loads nothing: `pictures` (SVG by figure) are part of it."""
    run = traffic.run
    figures = [
        {
            "name": name,
            "title": drawing.title,
            "alt": drawing.alt(traffic, summary),
            "caption": drawing.caption,
            "source": as_source(pictures[name]),
        }
        for name, drawing in drawings_of(run).items()
    ]
    return page.render(
        TEMPLATE,
        summary=summary,
        question=run.question,
        verdict=verdict(summary),
        warnings=run.warnings,
        sentences=sentences(summary),
        tiles=headline(summary),
        predictions=_predictions(summary["predictions"], pictures),
        contrast_columns=HEAD,
        contrast=contrast_rows(run),
        has_traffic=run.horizon_s > 0,
        window_columns=WINDOW_COLUMNS_LONG,
        windows=[*windows(summary, most=20), *of_groups(summary, most=20)],
        outcomes=outcome_shares(summary),
        facts=setup(run.scenario) | (facts(summary) if run.horizon_s > 0 else {}) | trained_on(run),
        zoom=as_script(zoom_data(traffic)) if run.horizon_s > 0 else "",
        zoom_bins=bins_in_words(traffic),
        figures=figures,
        stages=stages(run),
        command=command(run),
        versions=run.versions,
        general=GENERAL,
        definitions=DEFINITIONS,
        scenario=run.scenario_text,
    )


def _predictions(by_law: predicted.Predictions, pictures: dict[str, bytes]) -> dict[str, Any] | None:
    """What the section on predictions shows; None where no law applies."""
    if not by_law:
        return None
    return {
        "sentences": predicted.sentences(by_law),
        "columns": predicted.COLUMNS,
        "rows": predicted.rows(by_law),
        "laws": predicted.laws(by_law),
        "alt": predicted.alt(by_law),
        "source": as_source(pictures["predictions"]),
    }


def stages(run: Run) -> list[tuple[str, str]]:
    """Wall time per stage, and the rate at which requests were simulated, where the run recorded them.

    The report itself is left out: how long it took is known only once the page is made.
    """
    took = run.timing.get("stages_s", {})
    rows = [(name, f"{float(took[name]):.2f} s") for name in STAGES if name in took]
    if rows and "requests_per_s" in run.timing:
        rows.append(("requests simulated per second", f"{float(run.timing['requests_per_s']):,.0f}"))
    if rows and "path" in run.timing:
        path = run.timing["path"]
        rows.append(("event loop", f"{path['name']}: {path['why']}"))
    return rows


def command(run: Run) -> str:
    """What to type, where the report was made, to get this run again beside its own folder."""
    here, folder = Path.cwd(), run.path.resolve()
    if here in folder.parents:
        folder = folder.relative_to(here)
    return shlex.join([*program(), "run", str(folder / "scenario.yaml"), "--out", f"{folder}-again"])
