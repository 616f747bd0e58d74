"""One figure of a run as a paper prints it: PDF, SVG or PNG.
Behind the command `figure`; how it looks is `analysis.figures.for_print`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import matplotlib as mpl

from analysis.figures import drawings_of
from analysis.figures.for_print import PRINT, for_print
from analysis.figures.style import to_pdf, to_png, to_svg
from analysis.run_folder.provenance import in_one_line
from analysis.run_folder.run import load_run
from analysis.run_folder.traffic import traffic_kept
from sim.errors import BadInput

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
    run = load_run(path)
    drawings = drawings_of(run)
    if name not in drawings:
        near = get_close_matches(name, drawings, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise BadInput(f"figure {name}: {path} has {', '.join(drawings)}{hint}")
    with in_one_line(run.warnings):
        figure = drawings[name].draw(traffic_kept(run))
        with mpl.rc_context(PRINT):
            for_print(figure, float(match[1]), panels)
        return SAVED_AS[kind](figure, PRINT)
