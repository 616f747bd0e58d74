"""docs/extending.md holds: a figure or number is a function and a line of a table, and the rest follows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from run_folders import write_folder

import analysis
from analysis import figures
from analysis.figures import Drawing
from analysis.metrics import summary as metrics
from analysis.run_folder.traffic import Traffic


def draw_nothing(_traffic: Traffic) -> Figure:
    return Figure(figsize=(2, 1))


def test_a_figure_and_a_number_are_a_function_and_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing = Drawing(
        draw_nothing, "An empty figure", lambda _traffic, _summary: "Nothing.", "Look at nothing."
    )
    monkeypatch.setattr(figures, "FIGURES", {"nothing": drawing})
    monkeypatch.setitem(metrics.SECTIONS, "twice", lambda traffic: {"requests": 2 * len(traffic.requests)})
    folder = write_folder(tmp_path / "run", clients=4)
    summary = analysis.finish(folder)
    assert summary["twice"] == {"requests": 2 * summary["counts"]["requests"]}
    assert json.loads((folder / "summary.json").read_text())["twice"] == summary["twice"]
    assert {path.name for path in (folder / "figures").iterdir()} == {"nothing.svg", "predictions.svg"}
    page = (folder / "report.html").read_text()
    assert "An empty figure" in page
    assert 'alt="Nothing."' in page
