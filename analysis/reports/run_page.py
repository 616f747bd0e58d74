"""The pictures of a run folder and the page that holds them all.
Called by `analysis.reports.report`, once the numbers are known."""

from __future__ import annotations

import shlex
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from analysis.figures import drawings_of
from analysis.figures.predictions import predictions
from analysis.figures.style import WIDTH_IN
from analysis.metrics.definitions import DEFINITIONS
from analysis.metrics.terms import GENERAL
from analysis.reports import page
from analysis.reports import predictions as predicted
from analysis.reports.class_table import CLASS_COLUMNS, of_classes
from analysis.reports.contrast_table import HEAD, contrast_rows
from analysis.reports.formatting import headline, outcome_shares, program, verdict
from analysis.reports.page import PHONE_IN, Saved, saved, write_figure
from analysis.reports.partial_report import PARTIAL
from analysis.reports.sentences import sentences
from analysis.reports.server_table import SERVER_COLUMNS_LONG, of_servers
from analysis.reports.setup import HEADING as RAN
from analysis.reports.setup import setup
from analysis.reports.tables import RECOVERY, WINDOW_COLUMNS_LONG, facts, notes, of_parts, windows
from analysis.reports.trace import to_trace_file, trace_of
from analysis.reports.training_data import trained_on
from analysis.reports.zoom_data import as_script, bins_in_words, zoom_data
from analysis.run_folder.provenance import made_by
from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Traffic
from analysis.time_in_words import between
from sim.errors import BadInput
from sim.results.whole_files import write_whole

TEMPLATE = "report.html.j2"
STAGES = {  # by their keys in timing.json
    "build": "frozen client models (build)",
    "learn": "server and rejectors trained (learn)",
    "decide": "policies evaluated (decide)",
    "run": "event loop (run)",
}


@dataclass(frozen=True)
class Begun:
    """What of a page needs no summary: the figures by name; of traffic with rows the numbers that can be
    zoomed into, and the content of the trace, both empty of any other."""

    pictures: Future[dict[str, Saved]]
    zoom: Future[Markup]
    trace: Future[bytes]


def begin(traffic: Traffic, work: Executor, png: bool = False) -> Begun:
    """Has everything made for which the summary is not needed. One thread draws, as matplotlib asks."""
    return Begun(work.submit(_drawn, traffic, png), work.submit(_zoom, traffic), work.submit(_trace, traffic))


def _drawn(traffic: Traffic, png: bool) -> dict[str, Saved]:
    drawn = {}
    for name, drawing in drawings_of(traffic.run).items():
        drawn[name] = drawing.draw(traffic)
        traffic.let_go()
    return {name: saved(figure, png) for name, figure in drawn.items()}


def _zoom(traffic: Traffic) -> Markup:
    return as_script(zoom_data(traffic)) if _has_requests(traffic.run) else Markup()


def _trace(traffic: Traffic) -> bytes:
    return to_trace_file(trace_of(traffic)) if _has_requests(traffic.run) else b""


def _has_requests(run: Run) -> bool:
    return run.horizon_s > 0 and run.keeps_rows


def write_pictures(traffic: Traffic, summary: dict[str, Any], begun: Begun, png: bool = False) -> None:
    """Writes the figures as SVG, and as PNG if asked, the trace and the report.

    A page of what could still be read of the folder goes.
    """
    run = traffic.run
    pictures = begun.pictures.result()
    if by_law := summary["predictions"]:
        wide, narrow = (predictions(by_law, traffic.outages, width_in) for width_in in (WIDTH_IN, PHONE_IN))
        pictures["predictions"] = saved(wide, png, narrow)
    html = render(traffic, summary, pictures, begun.zoom.result())
    traffic.let_go()
    for name, figure in pictures.items():
        write_figure(run.path / "figures" / name, figure)
    if trace := begun.trace.result():
        write_whole(run.path / "trace.json.gz", trace)
    write_whole(run.path / "report.html", html.encode())
    (run.path / PARTIAL).unlink(missing_ok=True)


def render(traffic: Traffic, summary: dict[str, Any], pictures: dict[str, Saved], zoom: Markup) -> str:
    """The report as one page that loads nothing: `pictures` are part of it, and the script `zoom`.

    It opens with what ran and the time line; laws come after what was seen.
    """
    run = traffic.run
    figures = {
        name: {
            "name": name,
            "title": drawing.title,
            "alt": drawing.alt(traffic, summary),
            "caption": drawing.caption,
        }
        | pictures[name].sources()
        for name, drawing in drawings_of(run).items()
    }
    traffic.let_go()
    told = facts(summary) if run.horizon_s > 0 else {}
    told = {head: [row for row in rows if row[0] != RECOVERY] for head, rows in told.items()}
    return page.render(
        TEMPLATE,
        summary=summary,
        question=run.question,
        verdict=verdict(summary),
        warnings=[*run.warnings, *lacks(run)],
        sentences=sentences(summary),
        tiles=headline(summary),
        predictions=_predictions(summary["predictions"], pictures),
        contrast_columns=HEAD,
        contrast=contrast_rows(run),
        has_traffic=run.horizon_s > 0,
        window_columns=WINDOW_COLUMNS_LONG,
        class_columns=CLASS_COLUMNS,
        classes=of_classes(summary),
        server_columns=SERVER_COLUMNS_LONG,
        servers=of_servers(summary),
        windows=[*windows(summary, most=20), *of_parts(summary, most=20)],
        outcomes=outcome_shares(summary),
        notes=notes(summary) if run.horizon_s > 0 else [],
        facts=told | trained_on(run),
        ran=[*setup(run.scenario)[RAN], ("made by", made_by(run.path, run.horizon_s > 0))],
        timeline=figures.pop("timeline", None),
        zoom=zoom,
        counted_span=between(run.warm_up_s, run.horizon_s),
        zoom_bins=bins_in_words(traffic),
        figures=list(figures.values()),
        stages=stages(run),
        command=command(run),
        versions=run.versions,
        general=GENERAL,
        definitions=DEFINITIONS,
        scenario=run.scenario_text,
    )


def lacks(run: Run) -> list[str]:
    """What the page of a run that kept no rows of requests cannot show, and why."""
    if run.keeps_rows:
        return []
    return [
        "detail: none kept sums of the requests and no rows: intervals, windows of outages, laws, numbers of "
        "clients, samples and classes, replica time, and the figures and trace of requests are missing; "
        "percentiles are told to 1%"
    ]


def _predictions(by_law: predicted.Predictions, pictures: dict[str, Saved]) -> dict[str, Any] | None:
    """What the section on predictions shows; None where no law applies."""
    if not by_law:
        return None
    return {
        "sentences": predicted.sentences(by_law),
        "columns": predicted.COLUMNS,
        "rows": predicted.rows(by_law),
        "laws": predicted.laws(by_law),
        "alt": predicted.alt(by_law),
        "caption": "What a law says from the scenario and the models' tables, and what the simulation found. "
        "Where a mark lies beside its bar by more than the formula's own error, an assumption is broken, or "
        "chance is at work.",
    } | pictures["predictions"].sources()


def stages(run: Run) -> list[tuple[str, str]]:
    """Wall time per stage, and the rate at which requests were simulated, where the run recorded them.

    The report itself is left out: how long it took is known only once the page is made. Raises BadInput for
    what are no times.
    """
    try:
        return _stages(run.timing)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise BadInput(f"{run.path / 'timing.json'}: damaged: {error}") from None


def _stages(timing: dict[str, Any]) -> list[tuple[str, str]]:
    took = timing.get("stages_s", {})
    rows = [(words, f"{float(took[name]):.2f} s") for name, words in STAGES.items() if name in took]
    if rows and "requests_per_s" in timing:
        rows.append(("requests simulated per second", f"{float(timing['requests_per_s']):,.0f}"))
    if rows and "path" in timing:
        rows.append(("event loop", f"{timing['path']['name']}: {timing['path']['why']}"))
    return rows


def command(run: Run) -> str:
    """What to type, where the report was made, to get this run again beside its own folder."""
    here, folder = Path.cwd(), run.path.resolve()
    if here in folder.parents:
        folder = folder.relative_to(here)
    return shlex.join([*program(), "run", str(folder / "scenario.yaml"), "--out", f"{folder}-again"])
