"""What a figure finds of its ticks and words while it is laid out and saved, found once for each state.
Around `lay_out` and `savefig`, which ask for them a dozen times; no byte of a file depends on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from matplotlib.axis import Axis
from matplotlib.text import Text

# Private to matplotlib, whose version is pinned; tests hold the files against those that are made without.
TICKS, LAYOUT = "_update_ticks", "_get_layout"


@contextmanager
def found_once() -> Iterator[None]:
    """While it is open nobody may change which ticks an axis has, but by its limits and its size, nor how
    words look, but by what `_look` tells."""
    ticks_of, layout_of = getattr(Axis, TICKS), getattr(Text, LAYOUT)
    ticks: dict[Axis, tuple[Any, Any]] = {}
    layouts: dict[Text, tuple[Any, Any]] = {}

    def update_ticks(axis: Axis) -> Any:
        # Ticks are moved in place: what was found last is all that holds.
        state = (*axis.get_view_interval(), *axis.axes.bbox.bounds, axis.axes.figure.dpi)
        known = ticks.get(axis)
        if known is None or known[0] != state:
            ticks[axis] = known = (state, ticks_of(axis))
        return list(known[1])

    def get_layout(text: Text, renderer: Any) -> Any:
        look = _look(text, renderer)
        known = layouts.get(text)
        if known is None or known[0] != look:
            layouts[text] = known = (look, layout_of(text, renderer))
        return known[1]

    setattr(Axis, TICKS, update_ticks)
    setattr(Text, LAYOUT, get_layout)
    try:
        yield
    finally:
        setattr(Axis, TICKS, ticks_of)
        setattr(Text, LAYOUT, layout_of)


def _look(text: Text, renderer: Any) -> tuple[Any, ...]:
    """All that may change in how words are laid out, but where they stand."""
    font = text.get_fontproperties()
    return (
        type(renderer),
        getattr(text.get_figure(root=True), "dpi", None),
        text.get_text(),
        font.get_size_in_points(),
        font.get_weight(),
        text.get_rotation(),
        text.get_horizontalalignment(),
        text.get_verticalalignment(),
    )
