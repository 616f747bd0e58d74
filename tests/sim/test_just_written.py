"""Small tables that a process wrote: at hand as their files hold them, and never in place of other files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.run_folder.files import read_table
from sim.errors import BadInput
from sim.results.columns import NAME
from sim.results.just_written import MOST_BYTES, MOST_TABLES, just_written
from sim.results.run_folder import StreamedTable, table_of, write_sums, write_table

SCHEMA = pa.schema([("at_s", pa.float64()), ("kind", NAME), ("value", pa.int32()), ("is_so", pa.bool_())])
ROWS: dict[str, list[Any]] = {
    "at_s": [0.5, float("nan"), -0.0],
    "kind": ["b", "a", "b"],
    "value": [3, -1, 0],
    "is_so": [True, False, True],
}


def of_file(path: Path) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return file.read()


def alike(one: pa.Table, other: pa.Table) -> bool:
    """In schema, names and bits, as NaN is not equal to itself."""
    texts = [str(pa.chunked_array(table["at_s"]).to_pylist()) for table in (one, other)]
    rest = [table.drop_columns(["at_s"]) for table in (one, other)]
    names = [table["kind"].chunk(0).dictionary.to_pylist() for table in (one, other)]
    return one.schema == other.schema and texts[0] == texts[1] and rest[0] == rest[1] and names[0] == names[1]


def test_a_table_is_at_hand_as_its_file_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    checksum = write_table(path, table_of(ROWS, SCHEMA))
    kept = just_written(checksum)
    assert kept is not None
    assert alike(kept, of_file(path))


def test_so_is_one_that_came_in_one_piece(tmp_path: Path) -> None:
    table = StreamedTable(tmp_path / "timeline.parquet", SCHEMA, tmp_path / "pieces")
    (tmp_path / "scenario.yaml").write_text("")
    for path, piece in table.piece(0, ROWS).items():
        write_table(path, piece)
    table.finish(1)
    write_sums(tmp_path, {})
    checksum = (tmp_path / "SHA256SUMS").read_text().split("  timeline")[0].split()[-1]
    kept = just_written(checksum)
    assert kept is not None
    assert alike(kept, of_file(tmp_path / "timeline.parquet"))


def test_who_reads_it_again_parses_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.parquet"
    write_table(path, table_of(ROWS, SCHEMA))
    (tmp_path / "scenario.yaml").write_text("")
    write_sums(tmp_path, {})
    expected = of_file(path)
    monkeypatch.setattr(pq, "ParquetFile", None)
    assert alike(read_table(path, SCHEMA), expected)
    assert read_table(path, SCHEMA, ["value"]).column_names == ["value"]
    with pytest.raises(BadInput, match="column speed is missing"):
        read_table(path, pa.schema([("speed", pa.float64())]))


def test_a_file_that_changed_is_refused_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    write_table(path, table_of(ROWS, SCHEMA))
    (tmp_path / "scenario.yaml").write_text("")
    write_sums(tmp_path, {})
    pq.write_table(table_of(ROWS | {"value": [1, 2, 3]}, SCHEMA), path)
    with pytest.raises(BadInput, match="its checksum is not the one"):
        read_table(path, SCHEMA)


def test_large_and_empty_tables_and_old_ones_are_not_kept(tmp_path: Path) -> None:
    path, many = tmp_path / "t.parquet", MOST_BYTES // 8 + 1
    assert just_written(write_table(path, pa.table({"a": pa.array(range(many), pa.int64())}))) is None
    assert just_written(write_table(path, SCHEMA.empty_table())) is None
    assert just_written(None) is None
    sums = [write_table(path, pa.table({"a": [number]})) for number in range(MOST_TABLES + 1)]
    assert [just_written(one) is None for one in sums] == [True, *[False] * MOST_TABLES]
