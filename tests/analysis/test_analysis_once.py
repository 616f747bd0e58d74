"""What is found once as a figure is laid out and saved leaves its files as they are."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axis import Axis
from matplotlib.text import Text

from analysis.figures import drawings_of, style
from analysis.figures.once import LAYOUT, TICKS, found_once
from analysis.reports import page
from analysis.run_folder.run import load_run
from analysis.run_folder.traffic import Traffic, traffic_of


@pytest.fixture(scope="module")
def traffic(finished: tuple[Path, dict[str, Any]]) -> Traffic:
    return traffic_of(load_run(finished[0]))


@pytest.mark.parametrize("name", ["timeline", "latency", "deferral"])
def test_files_are_those_of_figures_that_find_everything_anew(
    traffic: Traffic, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wide and for a phone, whose words are smaller; also where axes change once they were laid out."""
    draw = drawings_of(traffic.run)[name].draw
    once = page.saved(draw(traffic), png=name == "timeline")
    for module in (page, style):
        monkeypatch.setattr(module, "found_once", nullcontext)
    assert page.saved(draw(traffic), png=name == "timeline") == once
    assert once.narrow != once.svg


def test_matplotlib_is_left_as_it_was() -> None:
    before = getattr(Axis, TICKS), getattr(Text, LAYOUT)
    with found_once():
        assert getattr(Axis, TICKS) is not before[0]
    with pytest.raises(ZeroDivisionError), found_once():
        _ = 1 / 0
    assert (getattr(Axis, TICKS), getattr(Text, LAYOUT)) == before
