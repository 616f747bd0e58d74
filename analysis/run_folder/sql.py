"""The tables of a run folder under SQL, by DuckDB, read where they lie.
Asked by `Run.sql`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sim.errors import BadInput
from sim.results.columns import CLIENT_SHIFT

PARTED = ("requests", "attempts")  # tables in parts


# Of a lean run: with what ids and other tables say, so that a query finds the same columns.
LOOKED_UP = f"""
CREATE VIEW requests AS
SELECT kept.*, CAST(kept.request_id >> {CLIENT_SHIFT} AS INTEGER) AS client_id, clients."group",
    samples.held_out, samples.label
FROM kept JOIN samples USING (sample_id) JOIN clients ON clients.client_id = kept.request_id >> {CLIENT_SHIFT}
"""


def found_by(query: str, folder: Path, detail: str = "full") -> Any:
    """A relation of DuckDB; detail: what the run keeps of every request.

    Raises BadInput where DuckDB is not installed, or, in one line, for a query that it refuses.
    """
    try:
        import duckdb  # noqa: PLC0415  (which few need)
    except ImportError:
        raise BadInput("sql: needs DuckDB: pip install duckdb") from None
    connection = duckdb.connect()
    tables = {path.stem: path for path in sorted(folder.glob("*.parquet"))}
    tables |= {name: folder / name / "*.parquet" for name in PARTED if any((folder / name).glob("*.parquet"))}
    is_lean = detail == "lean" and "requests" in tables
    for name, place in tables.items():
        connection.read_parquet(str(place)).create_view("kept" if is_lean and name == "requests" else name)
    if is_lean:
        connection.execute(LOOKED_UP)
    try:
        return connection.sql(query)
    except duckdb.Error as error:
        why = "" if detail == "full" else f" (of requests the run keeps what `detail: {detail}` leaves)"
        raise BadInput(f"sql: {' '.join(str(error).split())}{why}") from None
