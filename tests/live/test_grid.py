"""The committed grids of simulated and real runs, and the page that shows them."""

from __future__ import annotations

import json

import pandas as pd
import pyarrow.parquet as pq
import pytest

from benchmarks.fidelity import PAGE, goals, rows_of, table
from benchmarks.fidelity_grids import COMPUTED, GRIDS, MODEL_PERIOD, PERIOD, SLEPT, Grid
from sim.scenario import read


@pytest.mark.parametrize("grid", GRIDS.values(), ids=list(GRIDS))
def test_the_page_s_table_follows_from_the_committed_rows(grid: Grid):
    rows = pd.read_parquet(rows_of(grid))
    assert f"{table(rows)}\n{goals(rows)}" in PAGE.read_text()
    real = rows[rows["source"].str.startswith("real")]
    repeats = real.groupby(["load", "fault", "retry"])["source"].nunique()
    assert set(repeats.index) == set(grid.cells())
    assert (repeats >= 5).all()
    known = {key.decode() for key in pq.read_schema(rows_of(grid)).metadata}
    assert {"machine", "versions", "calibrated"} <= known


@pytest.mark.parametrize(("grid", "period", "cells"), [(SLEPT, PERIOD, 36), (COMPUTED, MODEL_PERIOD, 4)])
def test_the_grids_cells_are_scenarios(grid: Grid, period: tuple[int, int], cells: int, tmp_path):
    for number, cell in enumerate(grid.cells()):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(grid.scenario(cell, None)))
        assert read(path).horizon_s > period[1]
    assert number == cells - 1
