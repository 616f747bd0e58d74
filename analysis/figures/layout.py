"""Where everything in a figure stands, found once and kept.
Between the drawings, whose panels make room for their words, and the files, which show the places."""

from __future__ import annotations

import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import Bbox

DIGITS = 9  # of shares of a figure's size


def _beyond(figure: Figure) -> float:
    """The share of the figure's width by which labels of an x axis reach beyond it."""
    boxes = [axes.xaxis.get_tightbbox() for axes in figure.axes if axes.get_visible()]
    return max((box.x1 / figure.bbox.x1 - 1 for box in boxes if box is not None), default=0.0)


def lay_out(figure: Figure) -> None:
    """Gives everything its place, once: else `savefig` draws the whole figure twice, first to find places.

    Whatever it is saved as from then on, it has the places that it has as SVG.
    """
    engine = figure.get_layout_engine()
    if engine is None:
        return
    FigureCanvasSVG(figure)
    dpi, figure.dpi = figure.dpi, 72  # that of SVG
    engine.execute(figure)
    if isinstance(engine, ConstrainedLayoutEngine) and (beyond := _beyond(figure)) > 0:
        # The places that panels got brought ticks for which there was no room.
        engine.set(rect=(0.0, 0.0, 0.995 - beyond, 1.0))
        engine.execute(figure)
    _round(figure)
    figure.dpi = dpi
    figure.set_layout_engine(None)


def _round(figure: Figure) -> None:
    """Rounds the places of all panels: in what order the solver adds up, and so its last bits, follows from
    where in memory its variables happen to lie."""
    for axes in figure.axes:
        place = axes.get_position(original=True).get_points()
        axes.set_position(Bbox(np.round(place, DIGITS)))
        axes.set_in_layout(True)  # as it was: whoever sets a place by hand takes a panel out of the layout
