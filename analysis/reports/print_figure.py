"""One figure of a run as a paper prints it: PDF, SVG or PNG.
Behind the command `figure`; how it looks is `analysis.figures.for_print`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import matplotlib as mpl

from analysis.figures import drawings_of
from analysis.figures.for_print import PRINT, for_print, require_panels, require_width
from analysis.figures.predictions import predictions
from analysis.figures.style import to_pdf, to_png, to_svg
from analysis.run_folder.files import read_json
from analysis.run_folder.provenance import in_one_line
from analysis.run_folder.run import load_run
from analysis.run_folder.traffic import traffic_kept
from sim.errors import BadInput

PREDICTIONS = "predictions"
SAVED_AS = {"pdf": to_pdf, "svg": to_svg, "png": to_png}


def print_figure(
    path: Path, name: str, width: str = "3.33in", kind: str = "pdf", panels: Sequence[str] = ()
) -> bytes:
    """The figure `name` of the run folder `path`, `width` wide, in one of SAVED_AS; panels: all if none.

    The same folder gives the same bytes. Raises BadInput for a folder that is no finished run, a figure that
    it has not, a width that is none in inches, or a panel that there is not.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(in)?", width.strip())
    if match is None:
        raise BadInput(f"--width {width}: must be inches, for instance 3.33in")
    run, width_in = load_run(path), float(match[1])
    drawings, by_law = drawings_of(run), []
    if name not in drawings:
        by_law = read_json(path / "summary.json").get("predictions", [])
    known = [*drawings, *[PREDICTIONS] * bool(by_law)]
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise BadInput(f"figure {name}: {path} has {', '.join(known)}{hint}")
    with in_one_line(run.warnings):
        traffic = traffic_kept(run)
        if name == PREDICTIONS:  # placed by hand, so drawn at its width
            require_width(width_in)
            figure = predictions(_chosen(by_law, panels), traffic.outages, width_in)
        else:
            figure = drawings[name].draw(traffic)
            with mpl.rc_context(PRINT):
                for_print(figure, width_in, panels)
        return SAVED_AS[kind](figure, PRINT)


def _chosen(by_law: list[dict[str, Any]], panels: Sequence[str]) -> list[dict[str, Any]]:
    """What the laws say of these numbers alone, of all if none is named."""
    require_panels(panels, dict.fromkeys(value["quantity"] for law in by_law for value in law["values"]))
    kept = ([one for one in law["values"] if not panels or one["quantity"] in panels] for law in by_law)
    return [law | {"values": values} for law, values in zip(by_law, kept, strict=True)]
