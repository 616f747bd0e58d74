"""docs/extending.md holds: a new kind is a function or class and a line of a table, and the rest follows."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from run_folders import write_folder
from sim.engine.queues import DISCIPLINES
from worlds import group_of, made_up, scenario_of

import analysis
from analysis import figures
from analysis.figures import Drawing
from analysis.metrics import summary as metrics
from analysis.run_folder.traffic import Traffic
from sim.engine.events import Board
from sim.engine.run import simulate
from sim.world.world import World


class LowestClient:
    """A discipline: the waiting client with the lowest number."""

    def __init__(self, board: Board) -> None:
        (self._row_of,), (self._client_of,) = board.columns("row"), board.rows("client")
        self._waiting: list[int] = []
        self.add = self._waiting.append

    def next(self) -> int:
        send = min(self._waiting, key=lambda one: self._client_of[self._row_of[one]])
        self._waiting.remove(send)
        return send


def test_a_discipline_is_a_class_and_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three clients that ask for 1.5 times what the server can do, the lowest is always served."""
    monkeypatch.setitem(DISCIPLINES, "lowest_client", LowestClient)
    scenario = scenario_of(
        horizon_s=300.0,
        fleet=(group_of(clients=3, arrivals={"process": {"kind": "poisson", "rate_hz": 0.5}}),),
    )
    # The schema does not know the word: its literal is the one other line.
    server = scenario.server.model_copy(update={"discipline": "lowest_client"})
    scenario = scenario.model_copy(update={"server": server})
    simulate(World(scenario), made_up(scenario), tmp_path)
    requests = pd.read_parquet(tmp_path / "requests")
    share = requests["started_at_s"].notna().groupby(requests["client_id"]).mean()
    assert share[0] > 0.95
    assert share[0] > share[1] > share[2]


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
    assert {"nothing.png", "nothing.svg"} <= {path.name for path in (folder / "figures").iterdir()}
    page = (folder / "report.html").read_text()
    assert "An empty figure" in page
    assert 'alt="Nothing."' in page
