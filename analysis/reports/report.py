"""Makes the results of a run folder: summary.json, the figures, and the report that holds them all.
The last step of a run; asked again, it makes the same files from the same folder."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from analysis.figures import drawings_of
from analysis.figures.predictions import predictions
from analysis.figures.style import to_png, to_svg
from analysis.metrics.definitions import DEFINITIONS
from analysis.metrics.summary import summary_of, to_json
from analysis.metrics.terms import GENERAL
from analysis.reports import page
from analysis.reports import predictions as predicted
from analysis.reports.contrast_table import HEAD, contrast_rows
from analysis.reports.formatting import headline, outcome_shares, program, sentences, verdict
from analysis.reports.page import as_source
from analysis.reports.partial_report import PARTIAL, write_partial
from analysis.reports.setup import setup
from analysis.reports.tables import WINDOW_COLUMNS_LONG, facts, of_groups, windows
from analysis.reports.trace import to_trace_file, trace_of
from analysis.reports.training_data import trained_on
from analysis.reports.zoom_data import as_script, bins_in_words, zoom_data
from analysis.run_folder.integrity import integrity_of
from analysis.run_folder.provenance import in_one_line
from analysis.run_folder.run import Run, load_run
from analysis.run_folder.traffic import Traffic, traffic_of
from sim.errors import BadInput
from sim.results.whole_files import sweep, write_whole

TEMPLATE = "report.html.j2"
STAGES = ("build", "learn", "decide", "run")


def finish(path: str | Path, pictures: bool = True) -> dict[str, Any]:
    """Writes summary.json, figures/ and report.html into the run folder `path`; returns the summary.

    Without `pictures` the summary alone: where a run is one of many, nobody looks at most of them.
    Raises BadInput for a folder that is not a finished run; then nothing is written.
    """
    run = load_run(path)
    for table in integrity_of(path):
        if not table.is_fine:
            raise BadInput(table.why)
    sweep(run.path)
    traffic = traffic_of(run)
    summary = summary_of(traffic)
    if pictures:
        with in_one_line(run.warnings):
            _write_pictures(traffic, summary)
    write_whole(run.path / "summary.json", to_json(summary))
    return summary


def _write_pictures(traffic: Traffic, summary: dict[str, Any]) -> None:
    """Writes the figures, the trace and the report."""
    run = traffic.run
    drawn = {name: drawing.draw(traffic) for name, drawing in drawings_of(run).items()}
    if summary["predictions"]:
        drawn["predictions"] = predictions(summary["predictions"], traffic.outages)
    pictures = {name: to_svg(figure) for name, figure in drawn.items()}
    html = render(traffic, summary, pictures)
    for name, figure in drawn.items():
        write_whole(run.path / "figures" / f"{name}.svg", pictures[name])
        write_whole(run.path / "figures" / f"{name}.png", to_png(figure))
    if run.horizon_s > 0:
        write_whole(run.path / "trace.json.gz", to_trace_file(trace_of(traffic)))
    write_whole(run.path / "report.html", html.encode())


def write_report(path: str | Path) -> Path:
    """Makes the results of a run folder anew, so that report and summary agree; returns the report's path.

    Raises BadInput for a folder that cannot be summed up; it names the page of what can still be read of it,
    unless the folder is no run's at all.
    """
    try:
        finish(path)
    except BadInput as error:
        partial = write_partial(path, str(error))
        why = str(error).rstrip(".")
        raise BadInput(f"{why}; what can still be read is in {partial}") from None
    (Path(path) / PARTIAL).unlink(missing_ok=True)
    return Path(path) / "report.html"


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
