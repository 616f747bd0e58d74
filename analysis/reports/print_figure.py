"""One figure of a run, or of what many runs left, as a paper prints it: PDF, SVG or PNG.
Behind the command `figure`; how it looks is `analysis.figures.for_print`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import drawings_of
from analysis.figures.for_print import PRINT, for_print, require_panels, require_width
from analysis.figures.overlay import overlay
from analysis.figures.predictions import predictions
from analysis.figures.style import to_pdf, to_png, to_svg
from analysis.reports.cell_table import metric_of
from analysis.reports.compare_report import TIMELINES
from analysis.reports.many_runs_report import Picture, sweep_pictures, written_rows
from analysis.reports.policy_study import study_pictures
from analysis.run_folder.files import read_json
from analysis.run_folder.provenance import in_one_line
from analysis.run_folder.run import SCENARIO, Run, load_run
from analysis.run_folder.traffic import traffic_kept
from analysis.statistics.comparison import load_traffics, names_of
from sim.errors import BadInput

PREDICTIONS = "predictions"
SAVED_AS = {"pdf": to_pdf, "svg": to_svg, "png": to_png}

Draw = Callable[[float, Sequence[str]], Figure]  # so many inches wide, with these panels, all if none


def print_figure(
    path: Path, name: str, width: str = "3.33in", kind: str = "pdf", panels: Sequence[str] = ()
) -> bytes:
    """The figure `name` of what lies in the folder `path`, a run, a study, a sweep or a comparison, `width`
    wide, in one of SAVED_AS; panels: all if none.

    The same folder gives the same bytes. Raises BadInput for a folder that is none of these, a figure that
    it has not, a width that is none in inches, or a panel that there is not.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(in)?", width.strip())
    if match is None:
        raise BadInput(f"--width {width}: must be inches, for instance 3.33in")
    require_width(float(match[1]))
    of = next((of for file, of in OF_MANY_RUNS.items() if (path / file).is_file()), None)
    if of is None and path.is_dir() and not (path / SCENARIO).is_file():
        raise BadInput(
            f"{path}: is no run, study, sweep or comparison: no {SCENARIO}, {', '.join(OF_MANY_RUNS)}"
        )
    known = _of_run(load_run(path)) if of is None else _read(path, of)
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise BadInput(f"figure {name}: {path} has {', '.join(known)}{hint}")
    return SAVED_AS[kind](known[name](float(match[1]), panels), PRINT)


def _printed(draw: Callable[[], Figure], width_in: float, panels: Sequence[str]) -> Figure:
    figure = draw()
    with mpl.rc_context(PRINT):
        for_print(figure, width_in, panels)
    return figure


def _of_run(run: Run) -> dict[str, Draw]:
    """Those of its report."""

    def traced(name: str, width_in: float, panels: Sequence[str]) -> Figure:
        with in_one_line(run.warnings):
            traffic = traffic_kept(run)
            if name == PREDICTIONS:  # placed by hand, so drawn at its width
                return predictions(_chosen(by_law, panels), traffic.outages, width_in)
            return _printed(partial(drawings[name].draw, traffic), width_in, panels)

    drawings, by_law = drawings_of(run), read_json(run.path / "summary.json").get("predictions", [])
    return {name: partial(traced, name) for name in [*drawings, *[PREDICTIONS] * bool(by_law)]}


def _chosen(by_law: list[dict[str, Any]], panels: Sequence[str]) -> list[dict[str, Any]]:
    """What the laws say of these numbers alone, of all if none is named."""
    require_panels(panels, dict.fromkeys(value["quantity"] for law in by_law for value in law["values"]))
    kept = ([one for one in law["values"] if not panels or one["quantity"] in panels] for law in by_law)
    return [law | {"values": values} for law, values in zip(by_law, kept, strict=True)]


def _of_study(path: Path) -> dict[str, Draw]:
    return _named(study_pictures(read_json(path / "study.json"), pd.read_parquet(path / "study.parquet")))


def _of_sweep(path: Path) -> dict[str, Draw]:
    written, table = read_json(path / "sweep.json"), pd.read_parquet(path / "sweep.parquet")
    rows = written_rows(written["rows"])
    metrics = [metric_of(name, table) for name in rows[0]["metrics"]]
    return _named(sweep_pictures(rows, written["axes"], metrics))


def _named(pictures: Iterable[Picture]) -> dict[str, Draw]:
    return {picture.name: partial(_printed, picture.draw) for picture in pictures}


def _of_comparison(path: Path) -> dict[str, Draw]:
    """The time lines of its runs, which must be where they were."""
    written = read_json(path / "compare.json")
    folders = [Path(one["path"]) for one in (written["baseline"], *written["runs"])]

    def draw() -> Figure:
        traffics = load_traffics(folders)
        return overlay(traffics, names_of(traffics))

    return {TIMELINES: partial(_printed, draw)}


OF_MANY_RUNS: Mapping[str, Callable[[Path], dict[str, Draw]]] = {
    "study.json": _of_study,
    "sweep.json": _of_sweep,
    "compare.json": _of_comparison,
}


def _read(path: Path, of: Callable[[Path], dict[str, Draw]]) -> dict[str, Draw]:
    """The figures of such a folder, or BadInput where its files hold something else than they should."""
    try:
        return of(path)
    except (LookupError, TypeError, ValueError, AttributeError, OSError) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadInput(f"{path}: damaged, or of another version: no figures ({why[:200]})") from None
