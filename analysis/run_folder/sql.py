"""The tables of a run folder under SQL, by DuckDB, read where they lie.
Asked by `Run.sql`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sim.errors import BadInput

PARTED = ("requests", "attempts")  # tables in parts


def found_by(query: str, folder: Path) -> Any:
    """A relation of DuckDB. Raises BadInput where that is not installed, or, in one line, for a query that
    it refuses."""
    try:
        import duckdb  # noqa: PLC0415  (which few need)
    except ImportError:
        raise BadInput("sql: needs DuckDB: pip install duckdb") from None
    connection = duckdb.connect()
    tables = {path.stem: path for path in sorted(folder.glob("*.parquet"))}
    tables |= {name: folder / name / "*.parquet" for name in PARTED if any((folder / name).glob("*.parquet"))}
    for name, place in tables.items():
        connection.read_parquet(str(place)).create_view(name)
    try:
        return connection.sql(query)
    except duckdb.Error as error:
        raise BadInput(f"sql: {' '.join(str(error).split())}") from None
