"""Reading a run in little memory: columns filled part by part, gaps and cells found without a sort."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.run_folder.files import refuse_gaps
from analysis.run_folder.filled import Filled
from analysis.statistics.clusters import clusters
from sim.errors import BadInput


@given(expected=st.integers(0, 20), sizes=st.lists(st.integers(0, 9), min_size=1, max_size=9))
def test_columns_hold_every_part_however_many_rows_were_expected(expected: int, sizes: list[int]) -> None:
    filled, parts = Filled(expected), [np.arange(size, dtype=np.int16) + 10 * size for size in sizes]
    for part in parts:
        filled.add({"a": part, "b": part > 12})
    found = filled.columns()
    np.testing.assert_array_equal(found["a"], np.concatenate(parts))
    np.testing.assert_array_equal(found["b"], np.concatenate(parts) > 12)
    assert found["a"].dtype == np.int16


@given(
    counts=st.lists(st.integers(0, 4), min_size=1, max_size=5),
    spoilt=st.sampled_from(["nothing", "one missing", "one twice", "one later"]),
    seed=st.integers(0, 99),
)
def test_gaps_are_found_in_any_order(counts: list[int], spoilt: str, seed: int) -> None:
    draw = np.random.default_rng(seed)
    ids = np.array([c * 2**32 + n for c, count in enumerate(counts) for n in range(count)], dtype=np.int64)
    ids, arrivals = draw.permutation(ids), ids.size
    if spoilt == "nothing" or ids.size < 2:
        refuse_gaps(Path("requests"), ids, arrivals)
        return
    if spoilt == "one missing":
        ids = ids[1:]
    elif spoilt == "one twice":
        ids[0] = ids[1]
    else:
        ids[0] += 7
    with pytest.raises(BadInput, match=r"is missing|is there twice|parts are missing"):
        refuse_gaps(Path("requests"), ids, arrivals)


@pytest.mark.slow
@given(seed=st.integers(0, 999), n=st.integers(0, 60), many=st.sampled_from([3, 40, 2_000_000]))
def test_cells_are_those_of_a_sort(seed: int, n: int, many: int) -> None:
    """Few names, whose cells are dense, and so many that they are sorted."""
    draw = np.random.default_rng(seed)
    client, base = draw.integers(0, 5, n), draw.integers(0, many, n)
    group, names = client % 2, np.arange(many)
    found = clusters(client, base, group, clients=np.arange(5), bases=names)
    cells, first, cell = np.unique(client * many + base, return_index=True, return_inverse=True)
    np.testing.assert_array_equal(found.cell, cell)
    np.testing.assert_array_equal(found.client, cells // many)
    np.testing.assert_array_equal(found.base, cells % many)
    np.testing.assert_array_equal(found.group, group[first])
