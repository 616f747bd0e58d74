"""The committed grid of simulated and real runs, and the page that shows it."""

from __future__ import annotations

import pandas as pd
import pyarrow.parquet as pq

from benchmarks import fidelity as grid


def test_the_page_s_table_follows_from_the_committed_rows():
    rows = pd.read_parquet(grid.ROWS)
    assert grid.table(rows) in grid.PAGE.read_text()
    real = rows[rows["source"].str.startswith("real")]
    assert (real.groupby(["load", "fault", "retry"])["source"].nunique() >= 5).all()
    assert {"machine", "versions", "calibrated"} <= {
        key.decode() for key in pq.read_schema(grid.ROWS).metadata
    }
